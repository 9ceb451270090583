"""Lists and single things of the API, each told by a table: what stands at the head, and what is told below it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, each

T = TypeVar("T")

Cell = str | Callable[[Any], Any]
"""A field of the answer, or what is made of it."""

Told = tuple[tuple[str, Cell], ...]
"""A head or a name, and what is told under it."""


def show_list(
    session: Session, call: "api.Call[T]", of: str, told: Told, empty: str, key: str = "id",
    watch: bool = False, beside: Callable[[T], None] = lambda _: None,
) -> None:  # fmt: skip
    """The list `of` in the answer as a table, and what else is to be said `beside` it; `key` is the ids' field."""

    def text(answer: T) -> None:
        print_table(told, getattr(answer, of), empty)
        if getattr(answer, "next", None):
            output.note("There are more: `-n` takes a larger number.")
        beside(answer)

    session.ask(text, call, each(of, key), watch)


def show_one(
    session: Session, call: "api.Call[T]", told: Told, key: str = "id", watch: bool = False,
    beside: Callable[[T], None] = lambda _: None,
) -> None:  # fmt: skip
    """One thing as a line for each of its facts."""

    def text(answer: T) -> None:
        print_facts(told, answer)
        beside(answer)

    session.ask(text, call, lambda answer: [getattr(answer, key)], watch)


def print_table(told: Told, things: Iterable[Any], empty: str) -> None:
    rows = [[_of(cell, thing) for _, cell in told] for thing in things]
    output.table([head for head, _ in told], rows, empty)


def print_facts(told: Told, thing: Any, indent: str = "") -> None:
    output.facts((indent + name, _of(cell, thing)) for name, cell in told)


def created(thing: Any) -> str:
    return output.ago(thing.created_at)


def _of(cell: Cell, thing: Any) -> Any:
    return getattr(thing, cell) if isinstance(cell, str) else cell(thing)
