"""What lists are asked with, and how one gets from a page to the next.

A cursor names the last thing of the page before, so a page never shifts when things are added or removed
meanwhile, and the thousandth page costs what the first does. It also names its list: it fits no other.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from model_manager.errors import Unprocessable

T = TypeVar("T")

Limit = Annotated[int, Meta(ge=1, le=1000)]
Cursor = Annotated[str, Meta(min_length=1, max_length=200)]
LARGEST = 2**63 - 1
"""The largest number SQLite can count to; nothing comes after it."""


class Limited(Struct):
    """The newest `limit` of something."""

    limit: Limit = 100


class Paged(Limited):
    """`cursor`: the `next` of the page before; left out, the first page."""

    cursor: Cursor | None = None


class Tail(Struct):
    """The last `lines` of a log."""

    lines: Annotated[int, Meta(ge=1, le=10_000)] = 200


def cursor_after(of: str, last: str | int) -> str:
    """The cursor of what comes after `last` in the list `of`."""
    return urlsafe_b64encode(f"{of}:{last}".encode()).decode().rstrip("=")


def position(cursor: str | None, of: str) -> str | None:
    """What a cursor of the list `of` names, None without a cursor. Raises Unprocessable for one we did not make."""
    if cursor is None:
        return None
    try:
        name, _, last = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except ValueError:
        name, last = "", ""
    if name != of or not last:
        raise _foreign(cursor)
    return last


def sequence(cursor: str | None, of: str) -> int | None:
    """`position` where it is a sequence number."""
    last = position(cursor, of)
    if last is None:
        return None
    if (number := number_in(last)) is None:
        raise _foreign(cursor or "")
    return number


def number_in(text: str) -> int | None:
    """A sequence number as it is written in a cursor or an event's id; None for anything else."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= LARGEST):
        return None
    return int(text)


def page(found: list[T], limit: int, of: str, place: Callable[[T], str | int]) -> tuple[list[T], str | None]:
    """The first `limit` of what was found, and the cursor of the rest: look for one more than `limit` to know of it."""
    if len(found) <= limit:
        return found, None
    shown = found[:limit]
    return shown, cursor_after(of, place(shown[-1]))


def _foreign(cursor: str) -> Unprocessable:
    return Unprocessable(
        f"The cursor {cursor[:40]!r} is not one of this list.",
        "Send the `next` of its page before, unchanged, or leave it out to begin at the first page.",
        field="cursor",
    )
