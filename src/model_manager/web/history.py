"""`/history`: what happened, newest first."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from model_manager.commands import Parts
from model_manager.events import Event
from model_manager.http.routing import Route
from model_manager.web.paging import Limited

Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class HistoryQuery(Limited):
    """`before`: only events older than that id. `event`, `subject`: only those of that kind or about that."""

    before: Sequence | None = None
    event: str | None = None
    subject: str | None = None


class HistoryEvent(Struct, rename="camel", omit_defaults=True):
    """One line of the history; ids grow with time. `subject` is the slot, job, activation or folder it is about."""

    id: str
    event: str
    subject: str
    actor: str
    created_at: str
    model_id: str | None = None
    metadata: dict[str, Any] | None = None


class History(Struct, rename="camel"):
    events: list[HistoryEvent]


async def get_history(parts: Parts, query: HistoryQuery) -> History:
    """What happened, newest first."""
    found = await parts.events.page(
        before=query.before,
        limit=query.limit,
        kind=query.event,
        subject=query.subject,
        newest_first=True,
    )
    return History([history_event(event) for event in found])


def history_event(event: Event) -> HistoryEvent:
    metadata = {name: value for name, value in event.data.items() if name != "modelId"}
    return HistoryEvent(
        id=str(event.seq),
        event=event.kind,
        subject=event.subject,
        actor=event.actor,
        created_at=event.time,
        model_id=event.data.get("modelId"),
        metadata=metadata or None,
    )


ROUTES = (Route("GET", "/history", get_history),)
