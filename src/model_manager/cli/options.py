"""Options and arguments that several commands have."""

import math
import re
from typing import Annotated, Any

import typer

from model_manager.cli import completing
from model_manager.settings import duration

_DAYS = re.compile(r"(\d+)d")


def seconds(text: str) -> float:
    """Seconds of `90s`, `5m`, `1h30m` or `30d`; a bare number is seconds."""
    days = _DAYS.match(text)
    rest = text[days.end() :] if days else text
    try:
        found = (int(days[1]) * 86400.0 if days else 0.0) + (duration(rest) if rest or not days else 0.0)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise typer.BadParameter(f"{text!r} is not a time; write for example 30s, 5m, 2h or 7d.")
    return found


def as_given(word: str | None) -> Any:
    """One of the API's words, for the service to judge: a newer one may know more of them than this client."""
    return word


Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="TIME", parser=seconds, show_default=False,
        help="Longest time to wait, such as 90s or 5m; then the exit code is 124.",
    ),
]  # fmt: skip
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, newest first.")]
ModelId = Annotated[
    str,
    typer.Argument(metavar="ID", help="Id or alias of a catalog entry.", autocompletion=completing.models),
]
MaybeModel = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]", help="Id or alias of a catalog entry.", show_default=False,
        autocompletion=completing.models,
    ),
]  # fmt: skip
Slot = Annotated[
    str | None,
    typer.Option(
        "--slot", metavar="SLOT", show_default=False, autocompletion=completing.slots,
        help="Slot to act on; by default the service's first.",
    ),
]  # fmt: skip
SlotName = Annotated[
    str, typer.Argument(metavar="SLOT", help="Name of a slot.", autocompletion=completing.slots)
]
Lines = Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many, the last.")]
