"""The settings as people may see them: each value as one would write it, and where it came from; never a secret."""

import re
from typing import Any

from model_manager.settings import SETTINGS, Setting, Settings, duration, size

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_HOURS_AND_MINUTES = (("h", 3600), ("m", 60))
_BINARY = (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def shown(settings: Settings) -> list[dict[str, str]]:
    """Every setting in the table's order: name, env, value, origin, default, help, group.

    `origin` is flag, env, file, default, or program (chosen by the command itself, as a free port is).
    Of a secret, `value` says only whether it is set.
    """
    return [_shown(row, settings) for row in SETTINGS]


def _shown(row: Setting, settings: Settings) -> dict[str, str]:
    local = row.local if settings.platform == "local" else None
    return {
        "name": row.name,
        "env": row.env,
        "value": _without_secret(row, settings.values[row.name]),
        "origin": _kind_of(settings.origins.get(row.name, "default")),
        "default": row.default if local is None else local,
        "help": row.help,
        "group": row.group,
    }


def _kind_of(origin: str) -> str:
    """`Settings.origins` names the very flag or variable; here its kind is enough."""
    if origin in ("default", "program"):
        return origin
    return "flag" if origin.startswith("--") else "file" if origin == "config file" else "env"


def _without_secret(row: Setting, value: Any) -> str:
    if row.secret:
        return "set" if value else "not set"
    return _CREDENTIALS.sub("[secret]", _written(row, value))


def _written(row: Setting, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if row.parse is duration:
        return _in_units(value, _HOURS_AND_MINUTES, "s")
    return _in_units(value, _BINARY, "") if row.parse is size else str(value)


def _in_units(value: float, units: tuple[tuple[str, int], ...], smallest: str) -> str:
    """In the largest unit of which it is a whole number."""
    for unit, amount in units:
        if value and not value % amount:
            return f"{value / amount:.0f}{unit}"
    return f"{value:.15g}{smallest}"
