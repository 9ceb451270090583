"""Progress of long work: a bar on a terminal, plain lines in a pipe. On stderr: stdout is the result's."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from model_manager.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

LINE_EVERY = 5.0
"""Seconds between two lines about the same work in a pipe: a log of an hour stays readable."""


class Display(Protocol):
    """Shows what long work does now; used as a context manager."""

    def show(self, what: str, progress: Mapping[str, Any] | None) -> None:
        """`what` is a word or two; `progress` what the API says of a job's bytes, if anything."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display() -> Display:
    return Bar() if sys.stderr.isatty() else Lines()


class Lines:
    """One line when the work changes its name, and then every `LINE_EVERY` seconds."""

    def __init__(self) -> None:
        self._what = ""
        self._due = 0.0

    def show(self, what: str, progress: Mapping[str, Any] | None) -> None:
        now = time.monotonic()
        details = describe(progress)
        if what == self._what and (now < self._due or not details):
            return
        self._what, self._due = what, now + LINE_EVERY
        output.note(f"{what} {details}".rstrip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Bar:
    """A rich progress bar, or a spinner while nothing can be counted."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._bar: RichProgress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[details]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, details="")

    def show(self, what: str, progress: Mapping[str, Any] | None) -> None:
        progress = progress or {}
        self._bar.update(
            self._task,
            description=output.clean(what),
            total=_number(progress, "total"),
            completed=_number(progress, "done") or 0,
            details=output.clean(describe(progress)),
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def describe(progress: Mapping[str, Any] | None) -> str:
    """`45 %, 3.2 MB of 8.1 MB, 1.2 MB/s, 4.0 s left, model.gguf`, as far as it is known."""
    if not progress:
        return ""
    done, total = _number(progress, "done"), _number(progress, "total")
    parts = []
    if done is not None and total:
        parts.append(f"{100 * done / total:.0f} %")
        parts.append(f"{output.human_size(done)} of {output.human_size(total)}")
    elif done is not None:
        parts.append(output.human_size(done))
    if progress.get("rate"):
        parts.append(f"{output.human_size(progress['rate'])}/s")
    if progress.get("eta") is not None:
        parts.append(f"{output.human_seconds(progress['eta'])} left")
    if progress.get("file"):
        parts.append(str(progress["file"]))
    return ", ".join(parts)


def _number(progress: Mapping[str, Any], which: str) -> float | None:
    """Bytes done or in total."""
    value = progress.get(f"bytes{which.capitalize()}", progress.get(f"bytes_{which}"))
    return float(value) if isinstance(value, (int, float)) else None
