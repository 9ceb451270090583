"""`history` and `events`: what happened, and what happens now."""

import json
import re
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, answering_command
from model_manager.cli.exit_codes import NotReachable
from model_manager.cli.progress import describe
from model_manager.cli.sse import Message, messages

RECONNECT_AFTER = 1.0
"""Seconds between two attempts to follow again after the stream broke off."""

_DIGEST = re.compile("((?:sha256:)?[0-9a-f]{12})[0-9a-f]{28,52}")
"""A commit or a hash: its first letters tell it from the others at hand."""


def add_to(app: typer.Typer) -> None:
    app.command()(history)
    app.command()(events)


@answering_command
def history(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many, newest first.")] = 20,
) -> None:
    """Show what happened, newest first.

    Example: model-manager history -n 50
    """

    def text(answer: dict[str, Any]) -> None:
        rows = [
            (
                e["createdAt"],
                e["event"],
                e.get("modelId") or e["subject"],
                e["actor"],
                _short(e.get("metadata")),
            )
            for e in answer["events"]
        ]
        output.table(("TIME", "EVENT", "SUBJECT", "BY", "DETAILS"), rows, "Nothing has happened yet.")

    session.show(text, "history", limit=limit)


@answering_command
def events(session: Session) -> None:
    """Follow what happens, until Ctrl-C.

    Example: model-manager events -o json
    """
    last_id: str | None = None
    while True:
        last_id = _follow(session, last_id)
        time.sleep(RECONNECT_AFTER)


def _follow(session: Session, last_id: str | None) -> str | None:
    """Print events until the stream ends; the id to resume after."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    try:
        with session.client.stream("GET", "events", headers=headers) as answer:
            for message in messages(answer):
                last_id = message.id or last_id
                if message.data:
                    output.say(message.data if session.json else _line(message))
    except NotReachable as error:
        if last_id is None:
            raise
        output.note(f"{error.sentence} Trying again.")
    return last_id


def _line(message: Message) -> str:
    data = json.loads(message.data)
    if message.event == "progress":
        return f"  {data['kind']} {data['subject']}: {describe(data['data']) or _short(data['data'])}"
    if message.event == "gap":
        return f"(some events after {data['after']} were missed; `model-manager history` has them)"
    subject = data.get("modelId") or data["subject"]
    return f"{data['createdAt']}  {data['event']}  {subject}  {_short(data.get('metadata'))}".rstrip()


def _short(facts: Any) -> str:
    """Facts as `name=value` words, shortened: a table's cell, not the whole truth."""
    if not isinstance(facts, dict):
        return str(facts or "")
    text = " ".join(f"{name}={value}" for name, value in _words(facts))
    return text if len(text) <= 120 else text[:119] + "…"


def _words(facts: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of each fact that is there; of an error its sentence, of other facts within facts each."""
    for name, value in facts.items():
        if isinstance(value, dict):
            if "sentence" in value:
                yield prefix + name, _value(value["sentence"])
            else:
                yield from _words(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            yield prefix + name, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if digest := _DIGEST.fullmatch(text):
        return digest[1]
    return f'"{text}"' if " " in text else text
