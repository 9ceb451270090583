"""Jobs as the house sees them: submit, look, cancel, retry, wait; `run` keeps the workers busy."""

import asyncio
import builtins
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from model_manager.errors import Conflict, NotFound, StateError
from model_manager.events import EventLog, Progress, timestamp
from model_manager.jobs import table
from model_manager.jobs.job import (
    Job,
    JobStatus,
    Outcome,
    WorkerSpec,
    after_attempt,
    after_crash,
    retry_delay,
)
from model_manager.jobs.runner import Attempt, Runner
from model_manager.jobs.waits import Waits
from model_manager.state.database import Database, Transaction

KEEP_JOBS = 1000
"""Ended jobs beyond this many are forgotten at the next start, with their logs."""

MINIMAL_ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LANG": "C.UTF-8"}
"""What a worker gets when it is not told otherwise. Never a token: secrets come in the message."""

_DISK_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Jobs:
    """The queue and its runner. Every change of a status is an event, `<kind>_<status>`, in its own transaction.

    `moved` hears of every so many more bytes that a worker is done with.
    """

    def __init__(
        self,
        database: Database,
        events: EventLog,
        workers: Mapping[str, WorkerSpec],
        concurrency: int = 2,
        log_folder: Path | None = None,
        environment: Mapping[str, str] = MINIMAL_ENVIRONMENT,
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._events = events
        self._workers = workers
        self._concurrency = concurrency
        self._log_folder = log_folder
        self._runner = Runner(workers, environment, log_folder, self._publish, self._settle, moved)
        self._wake = asyncio.Event()
        self._not_before: dict[str, float] = {}  # monotonic: a clock that jumps delays nothing
        self._waits = Waits()
        self._on_end: list[Callable[[Job], None]] = []
        self._task: asyncio.Task[Any] | None = None
        self._closing = False

    # ---- asked for -------------------------------------------------------------------------------------------

    def enqueue(self, txn: Transaction, kind: str, key: str, payload: dict[str, Any], actor: str) -> Job:
        """Add a job in `txn`, or return the unfinished one of the same kind and key."""
        if (same := table.find_unfinished(txn, kind, key)) is not None:
            return same
        now = timestamp()
        job = Job(secrets.token_hex(8), kind, key, "pending", payload, actor, now, now)
        table.insert(txn, job)
        self._append_event(txn, job, actor)
        return job

    async def submit(self, kind: str, key: str, payload: dict[str, Any], actor: str) -> Job:
        """`enqueue` in a transaction of its own."""
        return await self._database.write(lambda txn: self.enqueue(txn, kind, key, payload, actor))

    def unfinished(self, source: table.Executes, kind: str, key: str) -> str | None:
        """The id of the pending or running job of this kind and key, read in the caller's transaction."""
        job = table.find_unfinished(source, kind, key)
        return job.id if job else None

    async def get(self, job_id: str) -> Job:
        """The job, with its progress while it runs; NotFound."""
        return self._with_progress(await self._database.read(lambda connection: _need(connection, job_id)))

    async def list(
        self, *, limit: int = 100, status: JobStatus | None = None, kind: str | None = None,
        before: int | None = None,
    ) -> list[Job]:  # fmt: skip
        """Jobs, newest first; `before`: only those whose `seq` is smaller."""
        jobs = await self._database.read(lambda c: table.newest(c, limit, status, kind, before))
        return [self._with_progress(job) for job in jobs]

    async def log(self, job_id: str, lines: int) -> builtins.list[str]:
        """The last lines that the job's workers logged, oldest first; NotFound for an unknown job."""
        await self.get(job_id)
        if self._log_folder is None:
            return []
        return await asyncio.to_thread(_last_lines, self._log_folder / f"{job_id}.log", lines)

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """The job once it has ended; as it is after `timeout` seconds, or when the service stops. NotFound."""
        with self._waits.of(job_id) as ended:
            job = await self.get(job_id)
            if job.ended or self._waits.stopped:
                return job
            await asyncio.wait({ended}, timeout=timeout)
        return await self.get(job_id)

    async def cancel(self, job_id: str, actor: str) -> Job:
        """End the job; when this returns, its worker is gone. Cancelling twice is fine; Conflict when it ended."""

        def mark(txn: Transaction) -> Job:
            job = _need(txn, job_id)
            if job.status == "pending":
                return self._change(txn, replace(job, status="cancelled"), actor)
            if job.status == "running":
                job = replace(job, cancelling=True)
                table.update(txn, job)
                txn.after_commit(lambda: self._halt(job_id, actor))
            elif job.status != "cancelled":
                raise Conflict(f"Job {job_id} has already {job.status}.", status=job.status)
            return job

        job = await self._database.write(mark)
        return job if job.ended else await self.wait(job_id)

    async def retry(self, job_id: str, actor: str) -> Job:
        """Queue a failed or cancelled job again, with its counts at zero; Conflict when it did not fail.

        Returns the unfinished job of the same kind and key when there is one by now.
        """

        def again(txn: Transaction) -> Job:
            job = _need(txn, job_id)
            if job.status not in ("failed", "cancelled"):
                raise Conflict(f"Job {job_id} is {job.status}: there is nothing to retry.", status=job.status)
            if (same := table.find_unfinished(txn, job.kind, job.key)) is not None:
                return same
            txn.after_commit(lambda: self._not_before.update({job_id: 0.0}))
            fresh = replace(job, status="pending", error=None, attempts=0, crashes=0, cancelling=False)
            return self._change(txn, fresh, actor)

        return await self._database.write(again)

    def tell(self, job_id: str, **control: Any) -> bool:
        """Pass `limit=bytes_per_s` or `pause=bool` to the worker; False when none is running."""
        attempt = self._runner.attempts.get(job_id)
        if attempt is None or attempt.process is None:
            return False
        attempt.process.tell(control)
        return True

    def on_end(self, callback: Callable[[Job], None]) -> None:
        """Call back on the event loop's thread with every job that ends."""
        self._on_end.append(callback)

    # ---- the runner ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take up what a dead service left, then work until cancelled or closed. Call it once, on the main thread."""
        self._task = asyncio.current_task()
        try:
            await self._patiently(self._take_up)
            while not self._closing:
                self._wake.clear()
                await self._patiently(self._start_pending)
                await self._woken()
        finally:
            self._closing = True
            # Writes are in order: after this one, every claim has begun.
            with contextlib.suppress(StateError):
                await self._database.write(lambda txn: None)
            await self._runner.stop()
            self._waits.stop()

    async def aclose(self) -> None:
        """Stop the workers; their jobs are pending again when this returns. May be called twice."""
        self._closing = True
        self._wake.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task})
        self._waits.stop()

    async def _patiently(self, step: Callable[[], Any]) -> None:
        """A disk that fails or is full delays the work and ends nothing."""
        while not self._closing:
            try:
                await step()
                return
            except StateError as error:
                _log.error("jobs wait: %s %s", error.sentence, error.hint)
                await asyncio.sleep(_DISK_RETRY_SECONDS)

    async def _take_up(self) -> None:
        def crashed(txn: Transaction) -> set[str]:
            for job in list(table.with_status(txn, "running")):
                self._change(txn, after_crash(job))
            table.forget_old(txn, KEEP_JOBS)
            return {row["id"] for row in txn.execute("SELECT id FROM jobs")}

        known = await self._database.write(crashed)
        if self._log_folder is not None:
            await asyncio.to_thread(_tidy_logs, self._log_folder, known)

    async def _start_pending(self) -> None:
        while len(self._runner.attempts) < self._concurrency and await self._database.write(self._claim):
            pass

    def _claim(self, txn: Transaction) -> bool:
        now = time.monotonic()
        due = (job for job in table.with_status(txn, "pending") if self._not_before.get(job.id, 0.0) <= now)
        if (job := next(due, None)) is None:
            return False
        running = replace(job, status="running", attempts=job.attempts + 1, error=None)
        self._change(txn, running)
        txn.after_commit(lambda: self._runner.begin(running))
        return True

    async def _woken(self) -> None:
        now = time.monotonic()
        self._not_before = {job_id: at for job_id, at in self._not_before.items() if at > now}
        delay = min(self._not_before.values(), default=None)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), delay and delay - now)

    async def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        spec = self._workers.get(attempt.job.kind)

        def settle(txn: Transaction) -> None:
            job = _need(txn, attempt.job.id)
            after = after_attempt(job, outcome, attempt.why, spec.max_attempts if spec else 1)
            if after.status == "pending" and attempt.why is None:
                due = time.monotonic() + retry_delay(job.attempts)
                txn.after_commit(lambda: self._not_before.update({job.id: due}))
            self._change(txn, after, attempt.actor)

        while True:
            try:
                await self._database.write(settle)
                return
            except StateError as error:
                _log.error(
                    "the end of job %s is not saved yet: %s %s", attempt.job.id, error.sentence, error.hint
                )
                if self._closing:
                    return  # the next start finds it running, and takes it up
                await asyncio.sleep(_DISK_RETRY_SECONDS)

    # ---- changes, and who hears of them ----------------------------------------------------------------------

    def _change(self, txn: Transaction, job: Job, actor: str = "system") -> Job:
        job = replace(job, updated_at=timestamp())
        table.update(txn, job)
        self._append_event(txn, job, actor)
        if job.ended:
            txn.after_commit(lambda: self._tell_end(job))
        return job

    def _append_event(self, txn: Transaction, job: Job, actor: str) -> None:
        data: dict[str, Any] = {"jobId": job.id, "attempts": job.attempts}
        for name, value in (
            ("modelId", job.payload.get("modelId")),
            ("error", job.error),
            ("result", job.result),
        ):
            if value is not None:
                data[name] = value
        self._events.append(txn, f"{job.kind}_{job.status}", job.key, data, actor)
        txn.after_commit(self._wake.set)

    def _tell_end(self, job: Job) -> None:
        self._waits.end(job.id)
        for callback in self._on_end:
            callback(job)

    def _halt(self, job_id: str, actor: str) -> None:
        if (attempt := self._runner.attempts.get(job_id)) is not None:
            attempt.halt("cancel", actor)

    def _publish(self, job: Job, progress: dict[str, Any]) -> None:
        self._events.publish(Progress("job", job.id, progress))

    def _with_progress(self, job: Job) -> Job:
        attempt = self._runner.attempts.get(job.id)
        return replace(job, progress=attempt.progress) if attempt and job.status == "running" else job


def _need(source: table.Executes, job_id: str) -> Job:
    if (job := table.find(source, job_id)) is None:
        raise NotFound(f"There is no job {job_id}.", "`model-manager jobs list` shows the known ones.")
    return job


def _last_lines(path: Path, count: int) -> list[str]:
    """The end of a log; none while there is no log. Its size is bounded by who writes it."""
    try:
        return path.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def _tidy_logs(folder: Path, known: set[str]) -> None:
    """Make the folder of the workers' logs and remove those of forgotten jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.log"):
        if path.stem not in known:
            path.unlink(missing_ok=True)
