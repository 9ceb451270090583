"""Background tasks that do not die in silence, and an event loop whose standstill is noticed."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

STANDSTILL = 5.0
"""Seconds without a turn of the event loop after which the service calls itself not ready."""


class Supervisor:
    """Runs tasks that should never end; one that does is told, counted as a problem, and started again."""

    def __init__(self, pause: float = 1.0) -> None:
        self._pause = pause
        self._tasks: list[asyncio.Task[None]] = []
        self._down: dict[str, str] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._keep(name, run), name=name))

    def problems(self) -> list[str]:
        """One sentence for each task that is down right now."""
        return [f"{name} stopped working: {why}" for name, why in self._down.items()]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            # What runs for a while is not down any more; what fails at once stays a problem.
            up_again = asyncio.get_running_loop().call_later(self._pause, self._down.pop, name, None)
            try:
                await run()
                self._down[name] = "it ended"
            except Exception as e:
                self._down[name] = type(e).__name__
                log.exception("%s stopped working and is started again", name)
            finally:
                up_again.cancel()
            await asyncio.sleep(self._pause)


class Watchdog:
    """A thread that sees when the event loop stands still, and logs where."""

    def __init__(self, limit: float = STANDSTILL) -> None:
        self._limit = limit
        self._beat = time.monotonic()
        self._stuck_until = (
            0.0  # until then the last standstill is told as a problem, and no other one logged
        )
        self._watched = 0  # the id of the loop's thread
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    async def run(self) -> None:
        """Beat; to be run as a task on the loop that is watched."""
        self._watched = threading.get_ident()
        if not self._thread.is_alive():
            self._thread.start()
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(self._limit / 5)

    def problems(self) -> list[str]:
        stuck = time.monotonic() < self._stuck_until
        return [f"The event loop stood still for more than {self._limit:g} s."] if stuck else []

    def close(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._limit / 5):
            if time.monotonic() - self._beat < self._limit or time.monotonic() < self._stuck_until:
                continue
            self._stuck_until = time.monotonic() + 2 * self._limit
            frame = sys._current_frames().get(self._watched)
            where = "".join(traceback.format_stack(frame, limit=8)) if frame else "(unknown)"
            log.error("the event loop stands still for more than %g s, at:\n%s", self._limit, where)
