"""What was found when something was looked at: a cluster, a machine, or what one model needs of them. Pure."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, structs

from model_manager.errors import Forbidden, ModelManagerError, TooManyRequests, Unavailable

Status = Literal["ok", "warn", "fail", "unknown"]
SHOWN = 5
"""Models that are named for one finding; of more it is said how many."""


class Finding(Struct, frozen=True):
    """One thing that was looked at. `unknown`: it may not be looked at, or nobody answered.

    `hint` says what to do about it; `command` does it, or shows more, where a single command can. `code` is what a
    failure for this is called, where it has a name of its own.
    """

    name: str
    status: Status
    sentence: str
    hint: str = ""
    command: str = ""
    code: str = ""


def of_error(name: str, error: ModelManagerError, command: str = "") -> Finding:
    """An error as a finding: what could not be asked is unknown, all else has failed."""
    status: Status = "unknown" if isinstance(error, Forbidden | Unavailable | TooManyRequests) else "fail"
    return Finding(name, status, error.sentence, error.hint, command, str(error.data.get("cause", "")))


def gathered(of_models: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """What was found for many models, each thing once; what is not well names the models that need it.

    What fails for some of them alone is a warning: the others can be served.
    """
    needing: dict[Finding, list[str]] = {}
    for model, finding in of_models:
        needing.setdefault(finding, []).append(model)
    count = len({model for models in needing.values() for model in models})
    return [_told(finding, models, of_all=len(models) == count) for finding, models in needing.items()]


def _told(finding: Finding, models: list[str], *, of_all: bool) -> Finding:
    if finding.status == "ok":
        return finding
    status = "warn" if finding.status == "fail" and not of_all else finding.status
    more = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
    needed = f"{finding.sentence} Needed by {', '.join(models[:SHOWN])}{more}."
    return structs.replace(finding, status=status, sentence=needed)
