import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from model_manager.events import EventLog
from model_manager.jobs.job import WorkerSpec
from model_manager.jobs.queue import MINIMAL_ENVIRONMENT, Jobs
from model_manager.state.database import Database
from tests.jobs.service import ENVIRONMENT, prepare

MakeJobs = Callable[..., Awaitable[Jobs]]


@pytest.fixture
async def make_jobs(database: Database, events: EventLog, tmp_path: Path) -> AsyncIterator[MakeJobs]:
    """`await make_jobs()` is a queue with the test worker; with `run=False` its runner does not run yet."""
    made: list[Jobs] = []

    async def make(*, run: bool = True, concurrency: int = 2, **spec: Any) -> Jobs:
        workers = {"test": WorkerSpec("tests.jobs.worker", **{"prepare": prepare, **spec})}
        environment = {**MINIMAL_ENVIRONMENT, **ENVIRONMENT}
        jobs = Jobs(database, events, workers, concurrency, tmp_path / "logs", environment)
        made.append(jobs)
        if run:
            tasks.append(asyncio.create_task(jobs.run()))
        return jobs

    tasks: list[asyncio.Task[None]] = []
    yield make
    for jobs in made:
        await jobs.aclose()
    await asyncio.gather(*tasks, return_exceptions=True)
