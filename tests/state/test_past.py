"""What is taken over from before a state began: before everything else, in the order of its times, and kept like it."""

from pathlib import Path
from typing import Any

from model_manager.events import Event, EventLog, timestamp
from model_manager.jobs import table
from model_manager.jobs.job import Job
from model_manager.state import past
from model_manager.state.database import Database

DAY = 86400.0


def event(day: int, name: str) -> Event:
    return Event(past.UNPLACED, timestamp(day * DAY), name, "", "original", {})


def job(day: int, name: str) -> Job:
    time = timestamp(day * DAY)
    return Job(name, "test", name, "completed", {}, "original", time, time)


async def kinds(events: EventLog, **asked: Any) -> list[tuple[int, str]]:
    return [(found.seq, found.kind) for found in await events.page(**asked)]


async def test_past_events_come_first_and_later_ones_find_their_place(
    database: Database, events: EventLog
) -> None:
    await database.write(lambda txn: events.append(txn, "now", "s"))
    await database.write(lambda txn: events.append_past(txn, [event(30, "late"), event(10, "early")]))
    assert await kinds(events) == [(-2, "early"), (-1, "late"), (1, "now")]
    await database.write(lambda txn: events.append_past(txn, [event(20, "between"), event(5, "first")]))
    await database.write(lambda txn: events.append(txn, "later", "s"))
    everything = [(-4, "first"), (-3, "early"), (-2, "between"), (-1, "late"), (1, "now"), (2, "later")]
    assert await kinds(events) == everything
    assert await kinds(events, newest_first=True) == everything[::-1]
    assert await kinds(events, after=-2) == everything[3:]
    assert await kinds(events, after=0) == everything[4:]  # a feed that began before has no more to read
    assert await kinds(events, since=timestamp(15 * DAY)) == everything[2:]


async def test_past_jobs_come_first_and_later_ones_find_their_place(database: Database) -> None:
    await database.write(lambda txn: table.insert(txn, job(400, "now")))
    await database.write(lambda txn: table.insert_past(txn, [job(30, "late"), job(10, "early")]))
    await database.write(lambda txn: table.insert_past(txn, [job(20, "between")]))
    await database.write(lambda txn: table.insert(txn, job(401, "later")))
    found = await database.read(lambda connection: table.newest(connection, 10, None, None, None))
    placed = [(2, "later"), (1, "now"), (-1, "late"), (-2, "between"), (-3, "early")]
    assert [(one.seq, one.id) for one in found] == placed
    found = await database.read(lambda connection: table.newest(connection, 2, None, None, -1))
    assert [one.id for one in found] == ["between", "early"]


async def test_the_past_is_kept_while_there_is_room_and_goes_first(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    events = EventLog(database, keep_rows=3)
    await database.write(lambda txn: events.append_past(txn, [event(10, "early"), event(20, "late")]))
    await database.write(lambda txn: events.append(txn, "now", "s"))
    assert await events.prune() == 0  # its age alone does not end it: it is among the newest there are
    await database.write(lambda txn: events.append(txn, "later", "s"))
    assert await events.prune() == 1
    assert await kinds(events) == [(-1, "late"), (1, "now"), (2, "later")]
    await database.aclose()
