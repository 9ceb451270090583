"""Real workers: how they start, what they may do, and that they are gone when they should be."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from model_manager.errors import StateError, Unprocessable
from model_manager.events import EventLog, Progress
from model_manager.jobs import queue
from model_manager.jobs.job import Job
from model_manager.jobs.queue import Jobs
from model_manager.state.database import Database
from tests.jobs.conftest import MakeJobs
from tests.waiting import until


def alive(pid: int) -> bool:
    """Whether the process runs: one that nobody has reaped yet is gone for us."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def pid_in(path: Path) -> int:
    return int(await until(lambda: path.exists() and path.read_text()))


async def done(jobs: Jobs, do: str, **payload: Any) -> Job:
    job = await jobs.submit("test", do, {"do": do, **payload}, "me")
    return await jobs.wait(job.id, 10)


async def test_a_job_from_submit_to_result(make_jobs: MakeJobs, events: EventLog, tmp_path: Path) -> None:
    ended: list[Job] = []
    jobs = await make_jobs()
    jobs.on_end(ended.append)
    job = await done(jobs, "echo", modelId="demo")
    assert (job.status, job.attempts, job.error) == ("completed", 1, None)
    assert job.result is not None
    assert job.result["message"] == {"do": "echo", "modelId": "demo"}
    assert [(end.id, end.status) for end in ended] == [(job.id, "completed")]
    history = await events.page()
    assert [event.kind for event in history] == ["test_pending", "test_running", "test_completed"]
    assert history[-1].data == {"jobId": job.id, "attempts": 1, "modelId": "demo", "result": job.result}
    log = (tmp_path / "logs" / f"{job.id}.log").read_text()
    assert "a stray print of a library" in log
    assert "said to the log" in log


async def test_u6_the_secret_is_in_the_message_alone(
    make_jobs: MakeJobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", "canary-of-the-service")

    async def prepare(payload: dict[str, Any]) -> dict[str, Any]:
        return {"do": "spy", "token": "canary-of-the-hub", "out": payload["out"]}

    jobs = await make_jobs(prepare=prepare)
    out = database.path.with_name("seen.json")
    job = await done(jobs, "spy", out=str(out))
    assert job.status == "completed", job.error
    seen = out.read_text()
    assert "canary-of-the-hub" in seen
    assert "canary-of-the-service" not in seen
    stored = database.path.read_bytes() + database.path.with_name("state.db-wal").read_bytes()
    assert b"canary" not in stored


async def test_what_prepare_refuses_fails_the_job(make_jobs: MakeJobs) -> None:
    async def prepare(payload: dict[str, Any]) -> dict[str, Any]:
        raise Unprocessable("The entry is gone.", "Refresh.")

    job = await done(await make_jobs(prepare=prepare), "echo")
    assert (job.status, job.error) == (
        "failed",
        {"code": "unprocessable", "sentence": "The entry is gone.", "hint": "Refresh."},
    )


@pytest.mark.parametrize(
    ("do", "code", "sentence", "attempts"),
    [
        ("refuse", "no_space", "It does not fit.", 1),
        ("raise", "internal", "The worker failed: RuntimeError.", 1),
        ("nonsense", "worker_protocol", "The worker spoke nonsense", 1),
        ("die", "worker_died", "The worker was killed by signal 9. Its last words: its last words", 1),
    ],
)
async def test_every_failure_is_a_sentence(
    make_jobs: MakeJobs, do: str, code: str, sentence: str, attempts: int
) -> None:
    job = await done(await make_jobs(max_attempts=1), do)
    assert (job.status, job.attempts) == ("failed", attempts)
    assert job.error is not None
    assert job.error["code"] == code
    assert job.error["sentence"].startswith(sentence)


async def test_a_kind_without_a_worker_fails(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs()
    job = await jobs.wait((await jobs.submit("other", "k", {}, "me")).id, 10)
    assert job.error is not None
    assert job.error["code"] == "unknown_kind"


async def test_what_may_pass_is_tried_again(
    make_jobs: MakeJobs, tmp_path: Path, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "retry_delay", lambda attempts: 0.05)
    job = await done(await make_jobs(), "flaky", tries=str(tmp_path / "tries"), good_at=3)
    assert (job.status, job.attempts, job.result) == ("completed", 3, {"tries": 3})
    _, retried, *_ = await events.page(kind="test_pending")
    assert retried.data["error"]["sentence"] == "The hub is busy."
    again = await done(await make_jobs(max_attempts=2), "flaky", tries=str(tmp_path / "few"), good_at=3)
    assert (again.status, again.attempts) == ("failed", 2)


async def test_d18_cancel_lets_the_worker_tidy_up(make_jobs: MakeJobs, tmp_path: Path) -> None:
    jobs = await make_jobs()
    staging, pid_file = tmp_path / "staging", tmp_path / "pid"
    job = await jobs.submit(
        "test", "k", {"do": "wait", "staging": str(staging), "pid_file": str(pid_file)}, "me"
    )
    pid = await pid_in(pid_file)
    await until(staging.exists)
    started = time.monotonic()
    cancelled = await jobs.cancel(job.id, "you")
    assert time.monotonic() - started < 2.0
    assert cancelled.status == "cancelled"
    assert not alive(pid)
    assert not staging.exists()


async def test_d18_cancel_of_a_worker_that_hears_nothing(make_jobs: MakeJobs, tmp_path: Path) -> None:
    """It is killed within two seconds with the grandchild that holds its pipes, and what it left is cleaned."""
    cleaned: list[dict[str, Any]] = []

    async def cleanup(payload: dict[str, Any]) -> None:
        assert not alive(pid)
        cleaned.append(payload)

    jobs = await make_jobs(cleanup=cleanup)
    pid_file, child_file = tmp_path / "pid", tmp_path / "child"
    payload = {"do": "ignore", "pid_file": str(pid_file), "child_file": str(child_file)}
    job = await jobs.submit("test", "k", payload, "me")
    pid, child = await pid_in(pid_file), await pid_in(child_file)
    started = time.monotonic()
    assert (await jobs.cancel(job.id, "me")).status == "cancelled"
    assert time.monotonic() - started < 2.0
    assert not alive(pid)
    await until(lambda: not alive(child))
    assert cleaned == [payload]


async def test_p2_a_child_left_behind_with_the_pipes_holds_nothing_up(
    make_jobs: MakeJobs, tmp_path: Path
) -> None:
    job = await done(await make_jobs(max_attempts=1), "leave_child", child_file=str(tmp_path / "child"))
    assert job.error is not None
    assert job.error["code"] == "worker_died"
    child = await pid_in(tmp_path / "child")
    await until(lambda: not alive(child))


async def test_p8_a_flood_on_stderr_is_bounded(make_jobs: MakeJobs, tmp_path: Path) -> None:
    job = await done(await make_jobs(), "flood")
    assert job.status == "completed"
    assert 2**20 <= (tmp_path / "logs" / f"{job.id}.log").stat().st_size < 2**20 + 2**18


async def test_progress_is_told_at_most_twice_a_second_and_not_stored(
    make_jobs: MakeJobs, events: EventLog
) -> None:
    jobs = await make_jobs()
    async with events.subscribe() as feed:
        job = await jobs.submit("test", "k", {"do": "progress", "seconds": 1.2}, "me")
        shown = await until(lambda: _progress(jobs, job.id))
        assert shown["bytes_total"] == 10**9
        assert (await jobs.wait(job.id)).progress is None
        events.close()
        told = [item async for item in feed if isinstance(item, Progress)]
    assert 2 <= len(told) <= 4
    assert {(item.kind, item.subject) for item in told} == {("job", job.id)}
    figures = [item.data["bytes_done"] for item in told]
    assert figures == sorted(figures)
    assert "test_progress" not in {event.kind for event in await events.page()}


async def _progress(jobs: Jobs, job_id: str) -> dict[str, Any] | None:
    return (await jobs.get(job_id)).progress


async def test_a_worker_is_told_its_limit_and_to_pause(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs()
    job = await jobs.submit("test", "k", {"do": "control"}, "me")
    assert not jobs.tell("nobody", limit=1)
    await until(lambda: _progress(jobs, job.id))
    assert jobs.tell(job.id, pause=True)
    assert jobs.tell(job.id, limit=1000)
    assert (await jobs.wait(job.id, 0.2)).status == "running"
    assert jobs.tell(job.id, pause=False)
    assert (await jobs.wait(job.id, 10)).result == {"limit": 1000}


async def test_no_more_workers_than_allowed_and_in_order(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(concurrency=1)
    first = await jobs.submit("test", "1", {"do": "wait"}, "me")
    second = await jobs.submit("test", "2", {"do": "echo"}, "me")
    await until(lambda: len(jobs._runner.attempts) == 1)
    assert [job.status for job in await jobs.list()] == ["pending", "running"]
    await jobs.cancel(first.id, "me")
    assert (await jobs.wait(second.id, 10)).status == "completed"


async def test_closing_stops_the_workers_and_keeps_the_jobs(make_jobs: MakeJobs, tmp_path: Path) -> None:
    jobs = await make_jobs()
    pid_file = tmp_path / "pid"
    job = await jobs.submit("test", "k", {"do": "wait", "pid_file": str(pid_file)}, "me")
    pid = await pid_in(pid_file)
    waiting = asyncio.create_task(jobs.wait(job.id))
    await jobs.aclose()
    assert not alive(pid)
    left = await waiting
    assert (left.status, left.attempts, left.crashes) == ("pending", 0, 0)
    pid_file.unlink()
    await make_jobs()
    assert alive(await pid_in(pid_file))


async def test_a_cancelled_run_leaves_no_worker_either(make_jobs: MakeJobs, tmp_path: Path) -> None:
    jobs = await make_jobs(run=False)
    running = asyncio.create_task(jobs.run())
    job = await jobs.submit("test", "k", {"do": "wait", "pid_file": str(tmp_path / "pid")}, "me")
    pid = await pid_in(tmp_path / "pid")
    running.cancel()
    await asyncio.wait({running})
    assert not alive(pid)
    assert (await jobs.get(job.id)).status == "pending"


async def test_s11_an_end_that_cannot_be_saved_is_saved_later(
    make_jobs: MakeJobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_DISK_RETRY_SECONDS", 0.05)
    jobs = await make_jobs()
    job = await jobs.submit("test", "k", {"do": "wait"}, "me")
    await until(lambda: jobs._runner.attempts and next(iter(jobs._runner.attempts.values())).process)
    (attempt,) = jobs._runner.attempts.values()
    assert attempt.process is not None
    hidden = database.path.with_suffix(".hidden")
    database.path.rename(hidden)  # every write is refused from here on
    with pytest.raises(StateError):
        await jobs.submit("test", "other", {}, "me")
    attempt.process.tell({"cancel": True})
    await until(lambda: not jobs._runner.attempts)
    hidden.rename(database.path)
    ended = await jobs.wait(job.id, 10)
    assert ended.error is not None
    assert ended.error["code"] == "cancelled"


async def test_the_log_is_forgotten_with_its_job(make_jobs: MakeJobs, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "unknown.log").touch()
    (logs / "notes.txt").touch()
    await done(await make_jobs(), "echo")
    assert not (logs / "unknown.log").exists()
    assert (logs / "notes.txt").exists()


async def test_workers_are_in_a_session_of_their_own(make_jobs: MakeJobs, tmp_path: Path) -> None:
    jobs = await make_jobs()
    job = await jobs.submit("test", "k", {"do": "wait", "pid_file": str(tmp_path / "pid")}, "me")
    pid = await pid_in(tmp_path / "pid")
    assert os.getsid(pid) == os.getpgid(pid) == pid
    await jobs.cancel(job.id, "me")


async def test_a_wait_ends_with_its_job_for_everybody(make_jobs: MakeJobs) -> None:
    jobs = await make_jobs(run=False)
    job = await jobs.submit("test", "k", {"do": "echo"}, "me")
    waiting = [asyncio.create_task(jobs.wait(job.id)) for _ in range(3)]
    gone = asyncio.create_task(jobs.wait(job.id))
    await asyncio.wait({gone}, timeout=0.01)
    gone.cancel()
    running = asyncio.create_task(jobs.run())
    assert {(await wait).status for wait in waiting} == {"completed"}
    assert gone.cancelled()
    await jobs.aclose()
    await running
