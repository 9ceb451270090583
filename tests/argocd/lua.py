"""Runs a health check as Argo CD does: Lua 5.1 with `obj`, and without the libraries that it leaves out."""

from pathlib import Path
from typing import Any

import yaml

SETTINGS = Path(__file__).parents[2] / "deploy" / "argocd" / "argocd-cm.yaml"

STATUSES = {"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

_LEFT_OUT = ("string", "math", "io", "debug", "coroutine", "python", "require", "dofile", "loadfile")
"""Of the standard libraries, Argo CD opens base, table, package, and a clock for `os` (its util/lua/lua.go)."""


def health(group_kind: str, body: dict[str, Any]) -> tuple[str, str]:
    """Status and message that Argo CD would show for this object.

    `group_kind` as in the setting's name: `serving.kserve.io_InferenceService`. Raises LuaError for a script that
    fails, as Argo CD then calls the object's health unknown.
    """
    from lupa.lua51 import LuaRuntime  # only `make test-chart` has it, and all tests are collected

    scripts = yaml.safe_load(SETTINGS.read_text())["data"]
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    names = lua.globals()
    for name in _LEFT_OUT:
        names[name] = None
    names.obj = _table(lua, body)
    answer = lua.execute(scripts[f"resource.customizations.health.{group_kind}"])
    assert answer["status"] in STATUSES, answer["status"]
    return str(answer["status"]), str(answer["message"])


def _table(lua: Any, value: Any) -> Any:
    """Objects and lists become tables, as in Argo CD; a null is nothing."""
    if isinstance(value, dict):
        return lua.table_from({key: _table(lua, one) for key, one in value.items() if one is not None})
    if isinstance(value, list):
        return lua.table_from([_table(lua, one) for one in value])
    return value
