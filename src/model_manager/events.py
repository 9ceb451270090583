"""The append-only history and its live feed.

An event is durable: it is appended in the transaction that makes it true; its sequence number is the SSE id.
Progress is transient: published to whoever listens now, never stored.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import Any, Self

import msgspec
from msgspec import Struct

from model_manager.state import past
from model_manager.state.database import Database, Transaction

KEEP_AT_LEAST = 1000
"""Events that age never prunes, so that a clock that jumps ahead cannot empty the history."""

PAGE_LIMIT = 1001
"""One more than anyone may ask for: it tells whether there are more."""

LAST_SECOND = 253402300799.0
"""Of the year 9999, the last that `timestamp` can write."""

_PRUNED_AT_ONCE = 5000
_NOTHING_LATER = 2**63 - 1


class Event(Struct, frozen=True):
    """One line of the history. `time` is for reading; order is by `seq`, below zero before this history began."""

    seq: int
    time: str
    kind: str
    subject: str
    actor: str
    data: dict[str, Any]


class Progress(Struct, frozen=True):
    """How far something is, e.g. a job's bytes. It has no id and is gone once told."""

    kind: str
    subject: str
    data: dict[str, Any]


class Gap(Struct, frozen=True):
    """The reader was too slow and events were dropped: read `page(after=gap.after)` and go on with the feed.

    Events that come later in the feed may be in that page too: skip those whose `seq` was seen.
    """

    after: int


def timestamp(seconds: float | None = None) -> str:
    """ISO 8601 in UTC with milliseconds, of now or of `seconds` since the epoch."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class EventLog:
    """The history in the state file. Kept by count and age: `prune` is to be called now and then."""

    def __init__(
        self,
        database: Database,
        keep_rows: int = 100_000,
        keep_seconds: float = 90 * 86400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._keep_rows = keep_rows
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def append(
        self,
        txn: Transaction,
        kind: str,
        subject: str,
        data: dict[str, Any] | None = None,
        actor: str = "system",
    ) -> int:
        """Add an event to `txn` and return its sequence number; subscribers hear of it after the commit."""
        moment, data = timestamp(self._clock()), data or {}
        cursor = txn.execute(
            "INSERT INTO events (time, kind, subject, actor, data) VALUES (?, ?, ?, ?, ?)",
            (moment, kind, subject, actor, msgspec.json.encode(data).decode()),
        )
        seq = cursor.lastrowid
        assert seq is not None
        event = Event(seq, moment, kind, subject, actor, data)
        txn.after_commit(lambda: self._tell(event))
        return seq

    def append_past(self, txn: Transaction, events: list[Event]) -> None:
        """Add what happened before this history began, each in its place by its time; nobody is told of it as news."""
        for seq, event in enumerate(sorted(events, key=lambda event: event.time), past.UNPLACED):
            txn.execute(
                "INSERT INTO events (seq, time, kind, subject, actor, data) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    seq,
                    event.time,
                    event.kind,
                    event.subject,
                    event.actor,
                    msgspec.json.encode(event.data).decode(),
                ),
            )
        past.place(txn, "events", "time")

    async def page(
        self,
        *,
        after: int = past.BEGINNING,
        before: int | None = None,
        limit: int = 100,
        kind: str | None = None,
        subject: str | None = None,
        actor: str | None = None,
        since: str | None = None,
        newest_first: bool = False,
    ) -> list[Event]:
        """Events with `after < seq < before`, at most `limit` (and PAGE_LIMIT), of one kind, subject or actor.

        `since` is a `timestamp`: only what happened then or later. Where the clock was set back meanwhile, what
        came before that may be missing.
        """
        wanted = {"subject": subject, "kind": kind, "actor": actor}
        given = {name: value for name, value in wanted.items() if value is not None}
        # The first of them chooses the index; with `+` the others, and the time, do not.
        conditions = [f"{'+' if number else ''}{name} = ?" for number, name in enumerate(given)]
        values: list[int | str] = list(given.values())
        if before is not None:
            conditions.append("seq < ?")
            values.append(before)
        if since is not None:
            conditions.append("+time >= ?")
            values.append(since)
        order = "DESC" if newest_first else "ASC"
        where = " AND ".join([*conditions, "seq > ?"])
        sql = f"SELECT * FROM events WHERE {where} ORDER BY seq {order} LIMIT ?"
        most = max(0, min(limit, PAGE_LIMIT))

        def rows(connection: Connection) -> list[Event]:
            first = after if since is None else max(after, _last_before(connection, since))
            return [_event(row) for row in connection.execute(sql, [*values, first, most])]

        return await self._database.read(rows)

    def subscribe(self, queue_size: int = 256) -> "Subscription":
        """What happens from now on: `async with events.subscribe() as feed: async for item in feed`."""
        subscription = Subscription(self._subscriptions, queue_size)
        if self._closed:
            subscription.end()
        return subscription

    def publish(self, progress: Progress) -> None:
        """Tell who listens now; call it on the event loop's thread."""
        for subscription in self._subscriptions:
            subscription.put(progress)

    def close(self) -> None:
        """End every feed, also later ones: their iterations stop. The history itself stays usable."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.end()

    @property
    def subscribers(self) -> int:
        """How many read the live feed now."""
        return len(self._subscriptions)

    async def prune(self) -> int:
        """Forget what is too old or too much; returns how many events that were.

        Only ever a run from the start of the history, in short transactions.
        """
        bound = await self._database.read(self._first_kept)
        removed = 0
        while True:
            count = await self._database.write(lambda txn: _remove_some(txn, bound))
            removed += count
            if count < _PRUNED_AT_ONCE:
                return removed

    def _first_kept(self, connection: Connection) -> int:
        def nth_newest(count: int) -> int:
            row = connection.execute(
                "SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?", (count - 1,)
            )
            return next((seq for (seq,) in row), past.BEGINNING)

        oldest = timestamp(self._clock() - self._keep_seconds)
        young = connection.execute("SELECT seq FROM events WHERE time >= ? ORDER BY seq LIMIT 1", (oldest,))
        by_age = next((seq for (seq,) in young), nth_newest(1))
        return max(min(by_age, nth_newest(KEEP_AT_LEAST)), nth_newest(self._keep_rows))

    def _tell(self, event: Event) -> None:
        for subscription in self._subscriptions:
            subscription.put(event)


def _last_before(connection: Connection, since: str) -> int:
    """A sequence number below that of everything that happened at `since` or later, found in the index of times."""
    row = connection.execute("SELECT seq FROM events WHERE time >= ? ORDER BY time, seq LIMIT 1", (since,))
    return next((seq - 1 for (seq,) in row), _NOTHING_LATER)


def _event(row: Row) -> Event:
    return Event(
        row["seq"], row["time"], row["kind"], row["subject"], row["actor"], msgspec.json.decode(row["data"])
    )


def _remove_some(txn: Transaction, bound: int) -> int:
    return txn.execute(
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq < ? ORDER BY seq LIMIT ?)",
        (bound, _PRUNED_AT_ONCE),
    ).rowcount


class Subscription:
    """A bounded feed of `Event`, `Progress` and `Gap` for one reader, who may be slow and holds nobody up."""

    def __init__(self, others: "set[Subscription]", size: int) -> None:
        self._others = others
        self._size = size
        self._items: deque[Event | Progress | Gap] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def put(self, item: Event | Progress) -> None:
        """Queue an item. A full queue drops progress, and turns events into one Gap."""
        if len(self._items) < self._size:
            self._items.append(item)
        elif isinstance(item, Event):
            lost = next((old for old in self._items if not isinstance(old, Progress)), item)
            after = lost.after if isinstance(lost, Gap) else lost.seq - 1
            self._items.clear()
            self._items.append(Gap(after))
        self._arrived.set()

    def end(self) -> None:
        """Let the reader finish what is queued, then stop."""
        self._ended = True
        self._arrived.set()

    async def __aenter__(self) -> Self:
        self._others.add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._others.discard(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Progress | Gap:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._items.popleft()
