"""`metrics`: the last hours of the service in a few lines."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, Watch, answering_command
from model_manager.cli.options import seconds
from model_manager.cli.output import human_size

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""Characters of a line: each stands for the mean of as many samples as fall to it."""

Numbers = Sequence[float | None]


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.0f} ms"


ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("requests / s", "requests_per_second", _plain),
    ("errors / s", "errors_per_second", _plain),
    ("model requests / s", "gateway_requests_per_second", _plain),
    ("tokens / s", "gateway_tokens_per_second", _plain),
    ("answer, median", "gateway_p50_seconds", _milliseconds),
    ("answer, 95 %", "gateway_p95_seconds", _milliseconds),
    ("in flight", "in_flight", _plain),
    ("jobs running", "jobs_running", _plain),
    ("weights", "weights_bytes", human_size),
    ("disk free", "disk_available_bytes", human_size),
    ("memory", "memory_bytes", human_size),
)


def add_to(app: typer.Typer) -> None:
    app.command()(metrics)


@answering_command
def metrics(
    session: Session,
    since: Annotated[
        float | None,
        typer.Option(
            "--since",
            metavar="TIME",
            parser=seconds,
            help="How far back, such as 30m or 2h.",
            show_default=False,
        ),
    ] = None,
    watch: Watch = False,
) -> None:
    """Show the numbers of the last hours.

    Example: model-manager metrics --since 1h
    """

    def text(told: "api.types.MetricsHistory") -> None:
        if not told.time:
            output.note("There are no samples yet; the first comes half a minute after the start.")
            return
        rows = [(name, *_row(getattr(told, field), shown)) for name, field, shown in ROWS]
        output.table(("NUMBER", "NOW", "LEAST", "MOST", _span(told.time)), rows, "")

    call = api.calls.metrics_history(since=None if since is None else time.time() - since)
    session.ask(text, call, watch=watch)


def _row(numbers: Numbers, shown: Callable[[float], str]) -> tuple[str, ...]:
    known = [number for number in numbers if number is not None]
    if not known:
        return "-", "-", "-", ""
    now = "-" if numbers[-1] is None else shown(numbers[-1])
    return now, shown(min(known)), shown(max(known)), sparkline(numbers)


def _span(times: Sequence[float]) -> str:
    return f"LAST {output.human_seconds(times[-1] - times[0])}".upper() if len(times) > 1 else "LAST"


def sparkline(numbers: Numbers, width: int = WIDTH) -> str:
    """At most `width` bars from the least number to the most; a gap where nothing was measured."""
    shares = [_mean(part) for part in _parts(numbers, width)]
    known = [share for share in shares if share is not None]
    least, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    return "".join(
        " " if share is None else BARS[round((share - least) / span * (len(BARS) - 1)) if span else 0]
        for share in shares
    )


def _parts(numbers: Numbers, width: int) -> list[Numbers]:
    count = min(width, len(numbers))
    bounds = [round(number * len(numbers) / count) for number in range(count + 1)] if count else []
    return [numbers[begin:end] for begin, end in pairwise(bounds)]


def _mean(part: Numbers) -> float | None:
    known = [number for number in part if number is not None]
    return sum(known) / len(known) if known else None
