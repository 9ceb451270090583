"""The queue without its runner: what is asked for, and the history of it."""

import asyncio

import pytest

from model_manager.errors import Conflict, NotFound
from model_manager.events import EventLog
from model_manager.state.database import Database
from tests.jobs.conftest import MakeJobs


async def test_d14_fifty_submits_of_one_thing_are_one_job(make_jobs: MakeJobs, events: EventLog) -> None:
    jobs = await make_jobs(run=False)
    made = await asyncio.gather(*(jobs.submit("test", "k", {"do": "echo"}, f"user {n}") for n in range(50)))
    assert len({job.id for job in made}) == 1
    assert made[0].actor == "user 0"
    assert [event.kind for event in await events.page()] == ["test_pending"]
    other = await jobs.submit("test", "other", {}, "me")
    assert [job.id for job in await jobs.list()] == [other.id, made[0].id]


async def test_enqueue_is_part_of_its_transaction(make_jobs: MakeJobs, database: Database) -> None:
    jobs = await make_jobs(run=False)
    with pytest.raises(ZeroDivisionError):
        await database.write(lambda txn: (jobs.enqueue(txn, "test", "k", {}, "me"), 1 / 0))
    assert await jobs.list() == []
    job = await jobs.submit("test", "k", {}, "me")
    assert await database.write(lambda txn: jobs.unfinished(txn, "test", "k")) == job.id
    assert await database.read(lambda connection: jobs.unfinished(connection, "test", "other")) is None


async def test_lists_are_filtered_and_bounded(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(run=False)
    ids = [(await jobs.submit("test", str(number), {}, "me")).id for number in range(4)]
    await jobs.cancel(ids[1], "me")
    assert [job.id for job in await jobs.list(limit=2)] == [ids[3], ids[2]]
    assert [job.id for job in await jobs.list(status="cancelled")] == [ids[1]]
    assert await jobs.list(kind="other") == []


async def test_a_pending_job_is_cancelled_at_once_and_may_be_retried(
    make_jobs: MakeJobs, events: EventLog
) -> None:
    jobs = await make_jobs(run=False)
    job = await jobs.submit("test", "k", {"modelId": "demo"}, "me")
    assert (await jobs.cancel(job.id, "you")).status == "cancelled"
    assert (await jobs.cancel(job.id, "you")).status == "cancelled"
    assert (await jobs.retry(job.id, "me")).status == "pending"
    history = [(event.kind, event.subject, event.actor) for event in await events.page()]
    assert history == [
        ("test_pending", "k", "me"),
        ("test_cancelled", "k", "you"),
        ("test_pending", "k", "me"),
    ]
    assert (await events.page(limit=1))[0].data == {"jobId": job.id, "attempts": 0, "modelId": "demo"}


async def test_retry_joins_what_was_submitted_meanwhile(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(run=False)
    first = await jobs.submit("test", "k", {}, "me")
    await jobs.cancel(first.id, "me")
    second = await jobs.submit("test", "k", {}, "me")
    assert (await jobs.retry(first.id, "me")).id == second.id


async def test_retry_of_what_did_not_fail_is_a_conflict(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(run=False)
    job = await jobs.submit("test", "k", {}, "me")
    with pytest.raises(Conflict, match="is pending"):
        await jobs.retry(job.id, "me")


async def test_unknown_jobs_are_not_found(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(run=False)
    for ask in (jobs.get("x"), jobs.wait("x", 1.0), jobs.cancel("x", "me"), jobs.retry("x", "me")):
        with pytest.raises(NotFound, match="no job x"):
            await ask


async def test_wait_returns_the_job_as_it_is_after_its_time(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(run=False)
    job = await jobs.submit("test", "k", {}, "me")
    assert (await jobs.wait(job.id, 0.01)).status == "pending"
    assert jobs._waits._futures == {}
