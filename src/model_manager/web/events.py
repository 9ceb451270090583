"""`/events`: the history as it happens, as server-sent events whose ids lead back to the place one left."""

import asyncio
from collections.abc import AsyncGenerator

from msgspec import Struct

from model_manager.commands import Parts
from model_manager.errors import Unprocessable
from model_manager.events import Event, EventLog, Gap, Progress
from model_manager.http.routing import Request, Route
from model_manager.http.sse import EventStream, Message
from model_manager.state.past import BEGINNING
from model_manager.web.history import HistoryEvent, Sequence, history_event
from model_manager.web.jobs import JobProgress, job_progress
from model_manager.web.paging import LARGEST, Limited, number_in

PAGE = 100
"""Events that are read from the history at once: no more, so that a thousand readers who come back take turns."""

TOLD = 256
"""Messages that are kept for those who are behind: as many as a subscription's queue holds."""


class EventsQuery(Limited):
    """`after`: only events younger than that id; a stream begins there, or now when it is left out."""

    after: Sequence | None = None


class EventPage(Struct, rename="camel"):
    """Events, oldest first. `next` is the `after` to ask with for those that follow."""

    events: list[HistoryEvent]
    next: str


class ProgressNotice(Struct, rename="camel"):
    """How far a job is; `subject` is its id. Never stored, without an id."""

    kind: str
    subject: str
    data: JobProgress


class GapNotice(Struct, rename="camel"):
    """This reader was too slow, or came back to a history that no longer reaches so far: look at everything anew."""

    after: str


async def get_events(parts: Parts, query: EventsQuery, request: Request) -> EventPage | EventStream:
    """Events, oldest first: a page of JSON, or a stream for those who accept `text/event-stream`.

    The stream's events have the history's ids and its lines as data; after a break, `Last-Event-ID` (or `?after=`)
    goes on without loss. Between them come `progress` events, without an id, and a `gap` where events were lost.
    """
    after = _resume_from(query, request)
    if request.accepts("text/event-stream"):
        return EventStream(feed(parts.events, after))
    found = await parts.events.page(after=BEGINNING if after is None else after, limit=query.limit)
    last = found[-1].seq if found else after or 0
    return EventPage([history_event(event) for event in found], str(last))


async def feed(events: EventLog, after: int | None) -> AsyncGenerator[Message, None]:
    """Everything after `after` (None: from now on), first from the history, then as it happens."""
    async with events.subscribe() as live:  # first of all, so that nothing falls between history and feed
        newest = await _newest(events)
        if after is not None and after > newest:  # the state was restored from an older copy
            yield _gap(newest)
            after = None
        last = newest if after is None else after
        yield Message(id=last)  # whoever loses the connection before the first event still knows where
        async for message in _stored(events, last, newest):
            last = message.id or last
            yield message
        async for item in live:
            if isinstance(item, Progress):
                yield _told(item)
            elif isinstance(item, Gap):
                yield _gap(last)
                async for message in _stored(events, last, LARGEST):
                    last = message.id or last
                    yield message
            elif item.seq > last:
                last = item.seq
                yield _told(item)


async def _stored(events: EventLog, after: int, until: int) -> AsyncGenerator[Message, None]:
    while after < until and (found := await events.page(after=after, limit=PAGE)):
        for event in found:
            yield _event(event)
            await asyncio.sleep(0)  # others have their turn, and the news that the client left has its own
        after = found[-1].seq


async def _newest(events: EventLog) -> int:
    found = await events.page(limit=1, newest_first=True)
    return found[0].seq if found else 0


def _event(event: Event) -> Message:
    return Message(history_event(event), id=event.seq)


_newest_told: dict[int, tuple[Event | Progress, Message]] = {}


def _told(item: Event | Progress) -> Message:
    """The message of what just happened, one and the same for all who listen: made and encoded once."""
    found = _newest_told.get(id(item))
    if found is not None and found[0] is item:
        return found[1]
    if isinstance(item, Event):
        message = _event(item)
    else:
        notice = ProgressNotice(item.kind, item.subject, job_progress(item.data))
        message = Message(notice, event="progress")
    _newest_told[id(item)] = item, message
    if len(_newest_told) > TOLD:
        del _newest_told[next(iter(_newest_told))]
    return message


def _gap(after: int) -> Message:
    return Message(GapNotice(str(after)), event="gap")


def _resume_from(query: EventsQuery, request: Request) -> int | None:
    """`Last-Event-ID` before `?after=`: a browser that comes back sends both, and the header is the newer one."""
    last = request.header("last-event-id")
    if not last:
        return query.after
    if (number := number_in(last)) is None:
        raise Unprocessable(
            f"Last-Event-ID {last[:40]!r} is not the id of an event.", "Leave it out to begin now."
        )
    return number


ROUTES = (Route("GET", "/events", get_events),)
