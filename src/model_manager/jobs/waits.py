"""Who waits for the end of which job."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Waits:
    """Futures by job id, resolved when the job ends, or all of them when the service stops."""

    def __init__(self) -> None:
        self.stopped = False
        self._futures: dict[str, set[asyncio.Future[None]]] = {}

    @contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Future[None]]:
        """A future for the end of this job. Enter before looking at the job, so that no end falls between."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        futures = self._futures.setdefault(job_id, set())
        futures.add(future)
        try:
            yield future
        finally:
            futures.discard(future)
            if not futures and self._futures.get(job_id) is futures:
                del self._futures[job_id]

    def end(self, job_id: str) -> None:
        """The job has ended."""
        for future in self._futures.pop(job_id, ()):
            if not future.done():
                future.set_result(None)

    def stop(self) -> None:
        """Nothing will end any more: let everybody go."""
        self.stopped = True
        for job_id in tuple(self._futures):
            self.end(job_id)
