"""A service with nothing but jobs, to be killed: `python -m tests.jobs.service FOLDER`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop

from model_manager.events import EventLog
from model_manager.jobs.job import WorkerSpec
from model_manager.jobs.queue import Jobs
from model_manager.state.database import Database

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}


async def prepare(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


async def serve(folder: Path) -> None:
    """Run the jobs of `folder` until killed; the first start makes one that waits."""
    database = await Database.open(folder)
    workers = {"test": WorkerSpec("tests.jobs.worker", prepare)}
    jobs = Jobs(database, EventLog(database), workers, environment=ENVIRONMENT)
    if not await jobs.list():
        await jobs.submit("test", "k", {"do": "wait", "pid_file": str(folder / "worker.pid")}, "me")
    await jobs.run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the loop that serves in production
        runner.run(serve(Path(sys.argv[1])))
