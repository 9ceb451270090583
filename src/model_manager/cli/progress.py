"""Progress of long work: a bar on a terminal, plain lines in a pipe. On stderr: stdout is the result's."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from model_manager import client as api
from model_manager.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

LINE_EVERY = 5.0
"""Seconds between two lines about the same work in a pipe: a log of an hour stays readable."""


class Display(Protocol):
    """Shows what long work does now; used as a context manager."""

    def show(self, what: str, progress: "api.types.JobProgress | None") -> None:
        """`what` is a word or two; `progress` what the API says of a job's bytes, if anything."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display() -> Display:
    """A bar for a terminal, lines for a pipe; nothing at all when that was asked for."""
    return Bar() if sys.stderr.isatty() and not output.look.quiet else Lines()


class Lines:
    """One line when the work changes its name, and then every `LINE_EVERY` seconds."""

    def __init__(self) -> None:
        self._what = ""
        self._due = 0.0

    def show(self, what: str, progress: "api.types.JobProgress | None") -> None:
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
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._bar: RichProgress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[details]}", markup=False),
            console=output.console(sys.stderr),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, details="")

    def show(self, what: str, progress: "api.types.JobProgress | None") -> None:
        self._bar.update(
            self._task,
            description=output.clean(what),
            total=progress.bytes_total if progress else None,
            completed=progress.bytes_done if progress else 0,
            details=output.clean(describe(progress)),
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def describe(progress: "api.types.JobProgress | None") -> str:
    """`45 %, 3.2 MB of 8.1 MB, 1.2 MB/s, 4.0 s left, model.gguf`, as far as it is known."""
    if progress is None:
        return ""
    done, total = progress.bytes_done, progress.bytes_total
    if total:
        parts = [f"{100 * done / total:.0f} %", f"{output.human_size(done)} of {output.human_size(total)}"]
    else:
        parts = [output.human_size(done)]
    if progress.rate:
        parts.append(f"{output.human_size(progress.rate)}/s")
    if progress.eta is not None:
        parts.append(f"{output.human_seconds(progress.eta)} left")
    if progress.file:
        parts.append(progress.file)
    return ", ".join(parts)
