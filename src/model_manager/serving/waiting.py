"""Requests that wait for a slot to serve again."""

import asyncio


class Waiters:
    """Wakes all who wait. Whoever is cancelled, because its client left, is gone at once."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def wake(self) -> None:
        for future in self._waiting:
            _wake(future)

    async def woken(self, deadline: float) -> None:
        """Until the next `wake`, or until the event loop's clock shows `deadline`."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = loop.call_at(deadline, _wake, future)
        self._waiting.add(future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
