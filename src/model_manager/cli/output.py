"""What people see: lines, tables, sizes and times. What came from outside passes `clean` on its way there."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from model_manager.errors import ModelManagerError


def clean(text: str) -> str:
    """Without control characters: a model's name, a log line or an answer must not command the terminal."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def say(text: str = "") -> None:
    print(clean(text), flush=True)


def note(text: str) -> None:
    """A line about the work, beside the result: to stderr, so that a pipe gets the result alone."""
    print(clean(text), file=sys.stderr, flush=True)


def fail(error: ModelManagerError) -> None:
    """`error: what happened`, and below it what to do next."""
    note(f"error: {error.sentence}")
    if error.hint:
        note(f"  {error.hint}")


def raw_json(body: bytes) -> None:
    """The API's own JSON: byte for byte in a pipe, indented on a terminal."""
    if sys.stdout.isatty():
        print(json.dumps(json.loads(body), indent=2))  # \uXXXX escapes keep control characters harmless
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(body.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()


def as_json(value: Any) -> None:
    raw_json(json.dumps(value).encode())


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Columns as wide as their widest cell, or the sentence `empty`; the same on a terminal and in a pipe."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        note(empty)
        return
    lines = [list(heads), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        say("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """One `name  value` line each; pairs without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name.ljust(width)}  {value}")


def _cell(value: Any) -> str:
    if value in (None, ""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(part) for part in value)
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
