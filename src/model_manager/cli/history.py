"""`history` and `events`: what happened, and what happens now."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from model_manager import client as api
from model_manager.cli import output, records
from model_manager.cli.command import Format, Session, Watch, answering_command, listing_command
from model_manager.cli.options import Limit, seconds
from model_manager.cli.progress import describe

RECONNECT_AFTER = 1.0
"""Seconds between two attempts to follow again after the stream broke off."""

PAGE = 1000

_DIGEST = re.compile("((?:sha256:)?[0-9a-f]{12})[0-9a-f]{28,52}")
"""A commit or a hash: its first letters tell it from the others at hand."""


def moment(text: str) -> str:
    """An ISO time, or how long ago such as `1h` or `7d`, as an ISO time; an event's id is left as it is."""
    if text.isascii() and text.isdigit():
        return text
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        then = datetime.now(UTC) - timedelta(seconds=seconds(text))
    return then.isoformat()


Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="WHEN", parser=moment, show_default=False,
        help="How long ago (1h, 7d), a time (2026-01-31T12:00), or the id of an event.",
    ),
]  # fmt: skip
Kind = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", "-k", metavar="EVENT", help="Only those, such as model_activated; may be repeated."
    ),
]


def add_to(app: typer.Typer) -> None:
    app.command()(history)
    app.command()(events)


COLUMNS: records.Told = (
    ("TIME", "created_at"), ("EVENT", "event"), ("SUBJECT", lambda e: e.model_id or e.subject),
    ("BY", "actor"), ("DETAILS", lambda e: _short(e.metadata)),
)  # fmt: skip


@listing_command
def history(
    session: Session,
    limit: Limit = 20,
    since: Since = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", "-k", metavar="EVENT", help="Only those events.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only about this slot, job or model.", show_default=False)
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Only what they did.", show_default=False)
    ] = None,
    watch: Watch = False,
) -> None:
    """Show what happened, newest first.

    Example: model-manager history -n 50 --since 1h
    """
    call = api.calls.get_history(limit=limit, event=kind, subject=subject, actor=actor, since=since)
    asked = since or kind or subject or actor
    empty = "Nothing of that kind has happened." if asked else "Nothing has happened yet."
    records.show_list(session, call, "events", COLUMNS, empty, watch=watch)


@answering_command
def events(
    session: Session,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Go on until Ctrl-C.")] = True,
    since: Since = None,
    kind: Kind = None,
) -> None:
    """Follow what happens, until Ctrl-C.

    Example: model-manager events --since 1h --kind model_activated
    """
    last_id = _after(session, since)
    if not follow:
        import msgspec

        for event in _stored(session, last_id or 0):
            _show(session, api.Message("message", msgspec.json.encode(event).decode()), kind)
        return
    while True:
        last_id = _follow(session, last_id, kind)
        time.sleep(RECONNECT_AFTER)


def _after(session: Session, since: str | None) -> int | None:
    """The id of the last event before that time."""
    if since is None or since.isdigit():
        return None if since is None else int(since)
    oldest = cursor = None
    while True:
        page = session.client.get_history(since=since, limit=PAGE, cursor=cursor)
        oldest = page.events[-1].id if page.events else oldest
        cursor = page.next
        if cursor is None:
            break
    if oldest is not None:
        return int(oldest) - 1
    newest = session.client.get_history(limit=1).events
    return int(newest[0].id) if newest else 0


def _stored(session: Session, after: int) -> "Iterator[api.types.HistoryEvent]":
    """Events, oldest first, up to now."""
    while True:
        page = session.client.get_events(after=after, limit=PAGE)
        yield from page.events
        if len(page.events) < PAGE:
            return
        after = int(page.next)


def _follow(session: Session, last_id: int | None, kinds: list[str] | None) -> int | None:
    """Print events until the stream ends; the id to resume after."""
    try:
        for message in session.client.events(last_id):
            last_id = int(message.id) if message.id else last_id
            if message.data:
                _show(session, message, kinds)
    except api.NotReachable as error:
        if last_id is None:
            raise
        output.note(f"{error.sentence} Trying again.")
    return last_id


def _show(session: Session, message: "api.Message", kinds: list[str] | None) -> None:
    data = json.loads(message.data)
    if kinds and (data.get("event") or message.event) not in kinds:
        return
    if session.form == Format.json:
        output.say(message.data)
    elif session.form == Format.yaml:
        output.say("---")
        output.as_yaml(data)
    else:
        output.say(_line(message.event, data))


def _line(event: str, data: dict[str, Any]) -> str:
    if event == "progress":
        return f"  {data['kind']} {data['subject']}: {_progress(data['data'])}"
    if event == "gap":
        return f"(some events after {data['after']} were missed; `model-manager history` has them)"
    subject = data.get("modelId") or data["subject"]
    return f"{data['createdAt']}  {data['event']}  {subject}  {_short(data.get('metadata'))}".rstrip()


def _progress(facts: Any) -> str:
    import msgspec

    try:
        return describe(msgspec.convert(facts, api.types.JobProgress))
    except msgspec.ValidationError:  # not of bytes
        return _short(facts)


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
