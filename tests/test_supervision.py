"""C6, C7: a background task that dies is told and started again; a loop that stands still is noticed."""

import asyncio
import logging
import time

import pytest

from model_manager.supervision import Supervisor, Watchdog
from tests.waiting import until


async def test_c6_a_task_that_dies_is_a_problem_and_starts_again() -> None:
    starts = []

    async def fragile() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise RuntimeError("disk on fire")
        await asyncio.Event().wait()

    supervisor = Supervisor(pause=0.1)
    supervisor.start("the test's task", fragile)
    await until(supervisor.problems)
    assert supervisor.problems() == ["the test's task stopped working: RuntimeError"]
    await until(lambda: len(starts) == 2 and not supervisor.problems())
    await supervisor.aclose()


async def test_c6_a_task_that_ends_without_an_error_is_a_problem_too() -> None:
    async def over() -> None:
        return

    supervisor = Supervisor(pause=5)
    supervisor.start("the test's task", over)
    await until(supervisor.problems)
    assert supervisor.problems() == ["the test's task stopped working: it ended"]
    await supervisor.aclose()


async def test_closing_ends_every_task() -> None:
    ended = asyncio.Event()

    async def patient() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    supervisor = Supervisor()
    supervisor.start("the test's task", patient)
    await asyncio.sleep(0)
    await supervisor.aclose()
    assert ended.is_set()


async def test_c7_a_standstill_is_logged_with_its_place_and_passes(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(limit=0.2)
    beating = asyncio.create_task(watchdog.run())
    await until(lambda: watchdog._thread.is_alive())
    assert watchdog.problems() == []
    with caplog.at_level(logging.ERROR):
        assert _stand_still(watchdog, caplog) == ["The event loop stood still for more than 0.2 s."]
    assert "_stand_still" in caplog.text
    await until(lambda: not watchdog.problems())
    watchdog.close()
    beating.cancel()


def _stand_still(watchdog: Watchdog, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Until it was logged: what was a problem then (it is none for long)."""
    deadline, problems = time.monotonic() + 10, list[str]()
    while not caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
        problems = watchdog.problems() or problems
    return problems
