"""Lists and single things of the API, each told by a table: what stands at the head, and what is told below it."""

from collections.abc import Callable, Iterable
from typing import Any

from model_manager.cli import output
from model_manager.cli.command import Session, each

Cell = str | Callable[[dict[str, Any]], Any]
"""A field of the answer, or what is made of it."""

Told = tuple[tuple[str, Cell], ...]
"""A head or a name, and what is told under it."""


def show_list(
    session: Session, *path: str, of: str, told: Told, empty: str, key: str = "id", watch: bool = False,
    beside: Callable[[dict[str, Any]], None] = lambda _: None, **query: Any,
) -> None:  # fmt: skip
    """The list `of` in the answer as a table, and what else is to be said `beside` it; `key` is the ids' field."""

    def text(answer: dict[str, Any]) -> None:
        print_table(told, answer[of], empty)
        if answer.get("next"):
            output.note("There are more: `-n` takes a larger number.")
        beside(answer)

    session.ask(text, *path, ids=each(of, key), watch=watch, **query)


def show_one(
    session: Session, *path: str, told: Told, key: str = "id", watch: bool = False,
    beside: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:  # fmt: skip
    """One thing as a line for each of its facts."""

    def text(answer: dict[str, Any]) -> None:
        print_facts(told, answer)
        beside(answer)

    session.ask(text, *path, ids=lambda answer: [answer[key]], watch=watch)


def cancel(session: Session, noun: str, what: str, thing: str) -> None:
    """`POST /noun/thing/cancel`. A job with a worker takes a moment to end."""
    now = session.client.post(noun, thing, "cancel")
    becomes = "being cancelled" if now.get("cancelling") else "cancelled"
    session.tell(f"{what} {thing} is {becomes}.", now, thing)


def print_table(told: Told, things: Iterable[dict[str, Any]], empty: str) -> None:
    rows = [[_of(cell, thing) for _, cell in told] for thing in things]
    output.table([head for head, _ in told], rows, empty)


def print_facts(told: Told, thing: dict[str, Any], indent: str = "") -> None:
    output.facts((indent + name, _of(cell, thing)) for name, cell in told)


def created(thing: dict[str, Any]) -> str:
    return output.ago(thing.get("createdAt"))


def _of(cell: Cell, thing: dict[str, Any]) -> Any:
    return thing.get(cell) if isinstance(cell, str) else cell(thing)
