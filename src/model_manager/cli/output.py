"""What people see: lines, tables, sizes and times. What came from outside passes `clean` on its way there."""

import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from model_manager.errors import ModelManagerError

if TYPE_CHECKING:
    from rich.console import Console


class Color(StrEnum):
    """`auto`: on a terminal, unless NO_COLOR is set (https://no-color.org) or the terminal is a dumb one."""

    auto = "auto"
    always = "always"
    never = "never"


@dataclass
class Look:
    """How this command was asked to show things. `quiet`: results and errors alone."""

    color: Color = Color.auto
    quiet: bool = False


look = Look()

STATES = {
    "active": "green", "completed": "green", "ready": "green",
    "failed": "red", "restored": "red", "expired": "red", "revoked": "red",
    "pending": "yellow", "running": "yellow", "queued": "yellow", "installing": "yellow", "admitted": "yellow",
    "stopping": "yellow", "starting": "yellow", "verifying": "yellow",
}  # fmt: skip
"""Colours of the words that tell at a glance how something is."""


def write_what_can_be() -> None:
    """Where the terminal's encoding lacks a character (a bar, a name), a `?` stands for it: no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not what a test put in its place
            stream.reconfigure(errors="replace")


def clean(text: str) -> str:
    """Without control characters: a model's name, a log line or an answer must not command the terminal."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def say(text: str = "") -> None:
    print(clean(text), flush=True)


def done(text: str) -> None:
    """A line about what was done, where there is no other result."""
    if not look.quiet:
        say(text)


def note(text: str) -> None:
    """A line about the work, beside the result: to stderr, so that a pipe gets the result alone."""
    if not look.quiet:
        _complain(text)


def fail(error: ModelManagerError) -> None:
    """`error: what happened`, and below it what to do next."""
    _complain(f"error: {error.sentence}")
    if error.hint:
        _complain(f"  {error.hint}")


def _complain(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)


def raw_json(body: bytes) -> None:
    """The API's own JSON: byte for byte in a pipe, indented on a terminal."""
    if sys.stdout.isatty():
        print(json.dumps(json.loads(body), indent=2))  # \uXXXX escapes keep control characters harmless
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(body.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()


def as_json(value: Any) -> None:
    import msgspec  # only here and below: the help can do without

    raw_json(msgspec.json.encode(value))


def as_yaml(value: Any) -> None:
    """On a terminal with escapes for all that is not ASCII, as JSON there: some of it would command it."""
    import msgspec
    import yaml

    print(
        yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=not sys.stdout.isatty()),
        end="",
        flush=True,
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str, spare: Sequence[str] = ()) -> None:
    """Columns, or the sentence `empty`: wrapped to fit on a terminal, plain and each row one line in a pipe.

    A terminal too narrow for columns that can be read gets fewer, without the `spare` ones, or else one fact a line.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        note(empty)
    elif sys.stdout.isatty() or look.color is Color.always:
        _fitted(heads, cells, spare)
    else:
        lines = [list(heads), *cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        for line in lines:
            say("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


GAP = 2
"""Spaces between two columns."""


def _fitted(heads: Sequence[str], cells: list[list[str]], spare: Sequence[str]) -> None:
    room = console(sys.stdout).width
    for left_out in (spare[:n] for n in range(len(spare) + 1)):
        kept = [i for i, head in enumerate(heads) if head not in left_out]
        some_heads, some_cells = [heads[i] for i in kept], [[row[i] for i in kept] for row in cells]
        least = _least_widths(some_heads, some_cells)
        if sum(least) + GAP * (len(least) - 1) <= room:
            _rich_table(some_heads, some_cells, least)
            return
    for row in cells:
        _one_fact_a_line(heads, row)


def _least_widths(heads: Sequence[str], cells: list[list[str]]) -> list[int]:
    """Narrower, a table cannot be read: ids (the first column) whole, else the longest word up to a limit."""
    columns = list(zip(heads, *cells, strict=True))
    rest = [
        min(max(len(word) for text in column for word in text.split() or ("",)), 12 if last else 20)
        for column, last in zip(columns[1:], [False] * (len(columns) - 2) + [True], strict=False)
    ]
    return [max(map(len, columns[0])), *rest]


def _one_fact_a_line(heads: Sequence[str], row: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, GAP, 0, 0))
    for head, text in zip(heads[1:], row[1:], strict=True):
        if text != "-":
            shown.add_row(f"  {head.lower()}", Text(text, STATES.get(text, ""), overflow="fold"))
    say(row[0])
    console(sys.stdout).print(shown)


def _rich_table(heads: Sequence[str], cells: list[list[str]], least: Sequence[int]) -> None:
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number, (head, width) in enumerate(zip(heads, least, strict=True)):
        # Ids stand in the first column: they are for copying, so they are kept whole.
        shown.add_column(head, no_wrap=number == 0, overflow="fold", min_width=width)
    for row in cells:
        shown.add_row(*(Text(text, STATES.get(text, "")) for text in row))
    console(sys.stdout).print(shown)


def console(file: TextIO) -> "Console":
    """rich's view of a stream, in the colours that were asked for; rich itself obeys NO_COLOR and TERM."""
    from rich.console import Console

    if look.color is Color.never:
        return Console(file=file, color_system=None)
    if look.color is Color.always:
        return Console(file=file, force_terminal=True, no_color=False)
    return Console(file=file)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """One `name  value` line each; pairs without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name.ljust(width)}  {value}")


def _cell(value: Any) -> str:
    if value in (None, "", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(part) for part in value)
    return clean(str(value)).replace("\n", " ")


def count(number: int, what: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def human_size(size: float | None) -> str:
    """Bytes in powers of 1000, as disks are sold and the hub counts: `808.5 kB`."""
    if size is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_seconds(seconds: float | None) -> str:
    """`0.4 s`, `42 s`, `3 min 5 s`, `2 h 4 min`, `3 d`."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d"


def ago(time: str | None, now: datetime | None = None) -> str:
    """How long ago an ISO time of the service was; the time itself when it cannot be read."""
    if not time:
        return "-"
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return time
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    return "now" if seconds < 1 else f"{human_seconds(seconds)} ago"
