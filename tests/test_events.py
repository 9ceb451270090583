"""The history and its feed: ordered, bounded, and no reader holds another up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.events import KEEP_AT_LEAST, Event, EventLog, Gap, Progress, Subscription, timestamp
from model_manager.state.database import Database, Transaction

DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path)
    yield database
    await database.aclose()


@pytest.fixture
def events(database: Database, clock: Clock) -> EventLog:
    return EventLog(database, clock=clock)


async def append(events: EventLog, *kinds: str, subject: str = "demo") -> list[int]:
    return await events._database.write(
        lambda txn: [
            events.append(txn, kind, subject, {"n": number}, "me") for number, kind in enumerate(kinds)
        ]
    )


def seqs(items: "list[Event]") -> list[int]:
    return [event.seq for event in items]


def test_timestamps_are_utc_to_the_millisecond() -> None:
    assert timestamp(0.0019) == "1970-01-01T00:00:00.001Z"
    assert timestamp(1_800_000_000.5) == "2027-01-15T08:00:00.500Z"


async def test_an_event_keeps_all_it_was_given(events: EventLog) -> None:
    await append(events, "service_started")
    assert await events.page() == [
        Event(1, "2027-01-15T08:00:00.000Z", "service_started", "demo", "me", {"n": 0})
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"newest_first": True}, [6, 5, 4, 3, 2, 1]),
        ({"after": 2}, [3, 4, 5, 6]),
        ({"after": 2, "limit": 2}, [3, 4]),
        ({"before": 5, "limit": 2, "newest_first": True}, [4, 3]),
        ({"after": 1, "before": 4}, [2, 3]),
        ({"kind": "a"}, [1, 3, 4, 6]),
        ({"subject": "y"}, [4, 5, 6]),
        ({"kind": "a", "subject": "y", "newest_first": True}, [6, 4]),
        ({"kind": "' OR 1=1"}, []),
        ({"limit": 0}, []),
        ({"limit": -1}, []),
    ],
    ids=str,
)
async def test_pages(events: EventLog, query: dict[str, object], expected: list[int]) -> None:
    await append(events, "a", "b", "a", subject="x")
    await append(events, "a", "b", "a", subject="y")
    assert seqs(await events.page(**query)) == expected  # type: ignore[arg-type]


async def test_s12_order_is_by_sequence_when_the_clock_jumps(events: EventLog, clock: Clock) -> None:
    for jump in (0.0, DAY, -2 * DAY, DAY):
        clock.now += jump
        await append(events, "a")
    page = await events.page()
    assert seqs(page) == [1, 2, 3, 4]
    assert [event.time for event in page] != sorted(event.time for event in page)


async def test_s12_a_clock_far_ahead_does_not_empty_the_history(events: EventLog, clock: Clock) -> None:
    await append(events, *["a"] * (KEEP_AT_LEAST + 5))
    clock.now += 1000 * DAY
    assert await events.prune() == 5
    assert len(await events.page(limit=KEEP_AT_LEAST)) == KEEP_AT_LEAST


async def test_s13_the_history_is_kept_by_count(database: Database) -> None:
    events = EventLog(database, keep_rows=50)
    await append(events, *["a"] * 60)
    assert await events.prune() == 10
    assert seqs(await events.page())[0] == 11
    assert await events.prune() == 0


async def test_s13_the_history_is_kept_by_age(events: EventLog, clock: Clock) -> None:
    old = KEEP_AT_LEAST // 2
    await append(events, *["old"] * old)
    clock.now += 91 * DAY
    await append(events, *["young"] * KEEP_AT_LEAST)
    assert await events.prune() == old
    assert {event.kind for event in await events.page(limit=KEEP_AT_LEAST)} == {"young"}


async def test_a_sequence_number_is_never_used_twice(database: Database) -> None:
    events = EventLog(database, keep_rows=1)
    await append(events, "a", "b")
    await database.write(lambda txn: txn.execute("DELETE FROM events"))
    assert await append(events, "c") == [3]


async def test_pruning_an_empty_history_is_nothing(events: EventLog) -> None:
    assert await events.prune() == 0


async def test_the_feed_tells_events_once_committed_and_progress_at_once(events: EventLog) -> None:
    async with events.subscribe() as feed:

        def failing(txn: Transaction) -> None:
            events.append(txn, "never", "demo")
            raise ValueError

        with pytest.raises(ValueError):
            await events._database.write(failing)
        events.publish(Progress("job", "1", {"bytes_done": 1}))
        await append(events, "a", "b")
        items = [await anext(feed) for _ in range(3)]
    assert isinstance(items[0], Progress)
    assert [item.kind for item in items[1:] if isinstance(item, Event)] == ["a", "b"]


async def test_a_slow_reader_gets_a_gap_and_can_read_all_of_it_again(events: EventLog) -> None:
    await append(events, "before")
    async with events.subscribe(queue_size=4) as slow, events.subscribe(queue_size=100) as quick:
        for _ in range(6):
            events.publish(Progress("job", "1", {}))
        for _ in range(20):
            await append(events, "a")
        seen, told = 1, []
        while seen < 21:
            item = await asyncio.wait_for(anext(slow), 5)
            if isinstance(item, Gap):
                told.append(item)
                seen = seqs(await events.page(after=item.after))[-1]
            elif isinstance(item, Event):
                assert item.seq == seen + 1, "nothing is missing before the gap"
                seen = item.seq
        assert told
        assert told[0].after == 1
        assert len([await anext(quick) for _ in range(26)]) == 26


def test_a_flood_of_progress_never_drops_an_event() -> None:
    feed = Subscription(set(), 3)
    event = Event(7, "", "a", "", "", {})
    feed.put(event)
    for _ in range(100):
        feed.put(Progress("job", "1", {}))
    assert feed._items[0] is event
    assert len(feed._items) == 3


async def test_closing_ends_every_feed_after_what_is_queued(events: EventLog) -> None:
    async with events.subscribe() as feed:
        await append(events, "a")
        events.close()
        assert [item.kind async for item in feed if isinstance(item, Event)] == ["a"]
    async with events.subscribe() as late:
        assert [item async for item in late] == []
    assert seqs(await events.page()) == [1]
