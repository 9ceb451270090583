"""kill -9 of the service: its workers go with it, and its jobs go on at the next start."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_manager.events import EventLog
from model_manager.jobs.job import Job
from model_manager.jobs.queue import Jobs
from model_manager.state.database import Database
from tests.jobs.test_runner import alive
from tests.programs import running
from tests.waiting import until_sync


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """The pid of the worker of a running service, which is killed at the end."""
    pid_file = folder / "worker.pid"
    pid_file.unlink(missing_ok=True)
    with running([sys.executable, "-m", "tests.jobs.service", str(folder)]):
        yield int(until_sync(lambda: pid_file.exists() and pid_file.read_text()))


async def jobs_in(folder: Path) -> list[Job]:
    database = await Database.open(folder)
    found = await Jobs(database, EventLog(database), {}).list()
    await database.aclose()
    return found


async def test_c3_c5_workers_die_with_the_service_and_its_job_is_retried_then_set_aside(
    tmp_path: Path,
) -> None:
    for start in (1, 2, 3):
        with service(tmp_path) as worker:
            assert alive(worker)
        until_sync(lambda pid=worker: not alive(pid), timeout=1.0)
        (job,) = await jobs_in(tmp_path)
        assert (job.status, job.attempts, job.crashes) == ("running", start, start - 1)

    database = await Database.open(tmp_path)
    events = EventLog(database)
    jobs = Jobs(database, events, {})
    await jobs._take_up()
    ended = await jobs.get(job.id)
    assert (ended.status, ended.crashes) == ("failed", 3)
    assert ended.error is not None
    assert ended.error["code"] == "set_aside"
    assert (await jobs.retry(job.id, "me")).crashes == 0
    kinds = [event.kind for event in await events.page()]
    assert kinds == ["test_pending", "test_running"] * 3 + ["test_failed", "test_pending"]
    await database.aclose()


async def test_a_cancel_survives_the_death_of_the_service(tmp_path: Path) -> None:
    with service(tmp_path):
        pass
    database = await Database.open(tmp_path)
    jobs = Jobs(database, EventLog(database), {})
    (job,) = await jobs.list()
    await database.write(lambda txn: txn.execute("UPDATE jobs SET cancelling = 1"))
    await jobs._take_up()
    assert (await jobs.get(job.id)).status == "cancelled"
    await database.aclose()


def test_a_worker_whose_stdin_ends_exits_though_its_parent_lives(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.jobs.worker"]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin
        process.stdin.write(b'{"do": "wait"}\n')
        process.stdin.close()
        assert process.wait(5) == 3
