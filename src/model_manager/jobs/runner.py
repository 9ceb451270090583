"""Attempts: one worker process each, from its start until what became of it is settled."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from model_manager import logs
from model_manager.errors import ModelManagerError
from model_manager.jobs.job import Halt, Job, Outcome, WorkerSpec
from model_manager.jobs.process import WorkerLog, WorkerProcess

CANCEL_SECONDS = 1.0
"""How long a worker may take to tidy up after a cancel before its group is killed."""

PROGRESS_SECONDS = 0.5

PASSING = (502, 503, 504)
"""Statuses of what may be there again in a moment: a job that could not be prepared for it is tried again."""

_log = logging.getLogger(__name__)


class Attempt:
    """One try at a running job. `halt` says that, why and by whom it was ended from outside."""

    def __init__(
        self, job: Job, publish: Callable[[Job, dict[str, Any]], None], moved: Callable[[int], None]
    ) -> None:
        self.job = job
        self.progress: dict[str, Any] | None = None
        self.process: WorkerProcess | None = None
        self.halted = asyncio.Event()
        self.why: Halt | None = None
        self.actor = "system"
        self._publish = publish
        self._moved = moved
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def halt(self, why: Halt, actor: str = "system") -> None:
        """End it. A cancel that was asked for stays one when the service stops meanwhile."""
        if self.why is None:
            self.why, self.actor = why, actor
        self.halted.set()

    def report(self, progress: dict[str, Any]) -> None:
        """Take in the worker's progress and tell it on, at most twice a second and always the latest."""
        self._moved(_bytes_done(progress) - _bytes_done(self.progress))
        self.progress = progress
        if self._timer is None:
            delay = max(0.0, self._next - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._next = time.monotonic() + PROGRESS_SECONDS
        if self.progress is not None:
            self._publish(self.job, self.progress)

    def close(self) -> None:
        """Nothing of it is told any more."""
        if self._timer is not None:
            self._timer.cancel()


def _bytes_done(progress: dict[str, Any] | None) -> int:
    done = (progress or {}).get("bytes_done")
    return done if isinstance(done, int) else 0


class Runner:
    """The attempts under way. `settle` writes down what became of one; it is called once for each.

    `moved` hears of every so many more bytes that a worker is done with.
    """

    def __init__(
        self,
        workers: Mapping[str, WorkerSpec],
        environment: Mapping[str, str],
        log_folder: Path | None,
        publish: Callable[[Job, dict[str, Any]], None],
        settle: Callable[[Attempt, Outcome], Awaitable[None]],
        moved: Callable[[int], None],
    ) -> None:
        self.attempts: dict[str, Attempt] = {}
        self._workers = workers
        self._environment = environment
        self._log_folder = log_folder
        self._publish = publish
        self._settle = settle
        self._moved = moved
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, job: Job) -> None:
        """Start an attempt at a job that the table says is running."""
        attempt = self.attempts[job.id] = Attempt(job, self._publish, self._moved)
        task = asyncio.create_task(self._run(attempt), name=f"job {job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End every attempt because the service stops; returns when all workers are gone and settled."""
        for attempt in self.attempts.values():
            attempt.halt("stop")
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, attempt: Attempt) -> None:
        logs.job_id.set(attempt.job.id)  # for this attempt's task alone
        try:
            try:
                outcome = await self._outcome(attempt)
            except ModelManagerError as error:
                outcome = Outcome.failed(
                    error.code, error.sentence, error.hint, retryable=error.status in PASSING
                )
            except Exception as error:
                _log.exception("job %s could not be run", attempt.job.id)
                outcome = Outcome.failed("internal", f"The job could not be run: {type(error).__name__}.")
            if outcome.result is None and attempt.why != "stop":
                await self._clean_up(attempt.job)
        finally:
            attempt.close()
            # Before it is settled: the same job may begin again as soon as it is.
            self.attempts.pop(attempt.job.id, None)
        await self._settle(attempt, outcome)

    async def _outcome(self, attempt: Attempt) -> Outcome:
        """The work's own outcome, or an empty one when it was ended from outside."""
        work = asyncio.create_task(self._work(attempt))
        halted = asyncio.create_task(attempt.halted.wait())
        try:
            await asyncio.wait({work, halted}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and attempt.why == "cancel" and attempt.process is not None:
                attempt.process.tell({"cancel": True})
                await asyncio.wait({work}, timeout=CANCEL_SECONDS)
        finally:
            halted.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        return Outcome() if work.cancelled() else work.result()

    async def _work(self, attempt: Attempt) -> Outcome:
        job = attempt.job
        if (spec := self._workers.get(job.kind)) is None:
            return Outcome.failed("unknown_kind", f"This version does not know jobs of the kind {job.kind}.")
        message = await spec.prepare(job.payload)
        log = WorkerLog(self._log_folder and self._log_folder / f"{job.id}.log")
        try:
            attempt.process = await WorkerProcess.start(spec.module, message, self._environment, log)
            return await attempt.process.outcome(attempt.report)
        finally:
            log.close()

    async def _clean_up(self, job: Job) -> None:
        spec = self._workers.get(job.kind)
        if spec is None or spec.cleanup is None:
            return
        try:
            await spec.cleanup(job.payload)
        except Exception as error:
            _log.warning("job %s left something behind: %s", job.id, error)
