"""`/history`: what happened, newest first."""

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from model_manager.commands import Parts
from model_manager.events import LAST_SECOND, Event, timestamp
from model_manager.http.routing import Route
from model_manager.web.paging import Paged, page, sequence

Sequence = Annotated[int, Meta(ge=-(2**63 - 1), le=2**63 - 1)]


class HistoryQuery(Paged):
    """`before`: only events older than that id. `event`, `subject`, `actor`: of that kind, about that, by them.

    `since`: only what happened at that time or later, such as `2026-01-31T12:00:00Z` (without a zone: UTC).
    """

    before: Sequence | None = None
    event: str | None = None
    subject: str | None = None
    actor: str | None = None
    since: datetime | None = None


class HistoryEvent(Struct, rename="camel", omit_defaults=True):
    """One line of the history; ids grow with time, and are below zero for what was imported.

    `subject` is the slot, job, activation or folder it is about.
    """

    id: str
    event: str
    subject: str
    actor: str
    created_at: str
    model_id: str | None = None
    metadata: dict[str, Any] | None = None


class History(Struct, rename="camel"):
    """`next` is the cursor of the following page, null on the last one."""

    events: list[HistoryEvent]
    next: str | None = None


async def get_history(parts: Parts, query: HistoryQuery) -> History:
    """What happened, newest first."""
    bounds = (query.before, sequence(query.cursor, "history"))
    found = await parts.events.page(
        before=min((bound for bound in bounds if bound is not None), default=None),
        limit=query.limit + 1,
        kind=query.event,
        subject=query.subject,
        actor=query.actor,
        since=_stamp(query.since),
        newest_first=True,
    )
    shown, following = page(found, query.limit, "history", lambda event: event.seq)
    return History([history_event(event) for event in shown], following)


def _stamp(moment: datetime | None) -> str | None:
    """A time as the history writes them. One that no clock of ours ever showed is as good as the nearest that did."""
    if moment is None:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return timestamp(min(max(seconds, 0.0), LAST_SECOND))


def history_event(event: Event) -> HistoryEvent:
    metadata = _facts(event.data)
    return HistoryEvent(
        id=str(event.seq),
        event=event.kind,
        subject=event.subject,
        actor=event.actor,
        created_at=event.time,
        model_id=event.data.get("modelId"),
        metadata=metadata or None,
    )


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    """What is told of an event: a job's result and error lie flat in it, as the original's clients read them.

    They come first: what a table has no room for is at the end.
    """
    told: dict[str, Any] = dict(data.get("result") or {})
    error = data.get("error")
    if isinstance(error, dict):
        told |= {"error": error.get("sentence"), "errorCode": error.get("code"), "hint": error.get("hint")}
    elif error is not None:
        told["error"] = error
    facts = {name: value for name, value in data.items() if name not in ("modelId", "result", "error")}
    return told | {name: value for name, value in facts.items() if name not in told}


ROUTES = (Route("GET", "/history", get_history),)
