"""`history` and `events`: what happened, and what happens now."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, reading_command
from model_manager.cli.exit_codes import NotReachable
from model_manager.cli.sse import Message, messages

if TYPE_CHECKING:
    from model_manager.cli.client import Client

RECONNECT_AFTER = 1.0
"""Seconds between two attempts to follow again after the stream broke off."""


def add_to(app: typer.Typer) -> None:
    app.command()(history)
    app.command()(events)


@reading_command
def history(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many, newest first.")] = 20,
) -> None:
    """Show what happened, newest first.

    Example: model-manager history -n 50
    """

    def text(answer: dict[str, Any]) -> None:
        rows = [
            (e["createdAt"], e["event"], e.get("modelId"), _short(e.get("metadata")))
            for e in answer["events"]
        ]
        output.table(("TIME", "EVENT", "MODEL", "DETAILS"), rows, "Nothing has happened yet.")

    session.show(text, "history", limit=limit)


@reading_command
def events(session: Session) -> None:
    """Follow what happens, until Ctrl-C.

    Example: model-manager events -o json
    """
    last_id: str | None = None
    while True:
        try:
            last_id = _follow(session, last_id)
        except NotReachable as error:
            if last_id is None:
                raise
            output.note(f"{error.sentence} Trying again.")
        time.sleep(RECONNECT_AFTER)


def _follow(session: Session, last_id: str | None) -> str | None:
    """Print events until the stream ends; the id to resume after."""
    for message in stream(session.client, last_id):
        last_id = message.id or last_id
        if session.json:
            output.say(message.data)
        else:
            output.say(_line(message))
    return last_id


def stream(client: "Client", last_id: str | None) -> Any:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    with client.stream("GET", "events", headers=headers) as answer:
        yield from messages(answer)


def _line(message: Message) -> str:
    try:
        data = json.loads(message.data)
    except ValueError:
        return f"{message.event}  {message.data}"
    if not isinstance(data, dict):
        return f"{message.event}  {message.data}"
    kind = data.get("event") or data.get("kind") or message.event
    when = data.get("createdAt") or data.get("time") or ""
    subject = data.get("modelId") or data.get("subject") or ""
    return f"{when}  {kind}  {subject}  {_short(data.get('metadata') or data.get('data'))}".strip()


def _short(facts: Any) -> str:
    """Facts as `name=value` words, shortened: a table's cell, not the whole truth."""
    if not isinstance(facts, dict):
        return str(facts or "")
    text = " ".join(f"{name}={value}" for name, value in facts.items() if value not in (None, "", [], {}))
    return text if len(text) <= 120 else text[:119] + "…"
