"""Waiting for a condition with a deadline, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(check: Callable[[], Any], timeout: float = 10.0, every: float = 0.02) -> Any:
    """The first truthy value of `check()` (awaited when it is awaitable); AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"not so within {timeout} s: {check}"
        await asyncio.sleep(every)


def until_sync(check: Callable[[], Any], timeout: float = 10.0, every: float = 0.02) -> Any:
    """`until` for tests without an event loop."""
    deadline = time.monotonic() + timeout
    while not (value := check()):
        assert time.monotonic() < deadline, f"not so within {timeout} s: {check}"
        time.sleep(every)
    return value
