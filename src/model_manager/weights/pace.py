"""How fast a transfer may go, and how fast it goes."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from model_manager.weights.plan import Control

CHUNK = 1 << 20
"""Bytes read at once: large enough that hashing and writing dominate."""

_TICK = 0.1
"""Seconds between two looks at the control while waiting; bounds how late a cancel is noticed."""


class Pace:
    """Spends bytes as the service allows: limit (bytes/s), pause, cancel. All may change meanwhile."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._limit: int | None = None
        self._start = time.monotonic()
        self._spent = 0

    @property
    def chunk(self) -> int:
        """How many bytes to read at once: less under a small limit, so that it flows instead of jerking."""
        limit = self._control.limit
        return min(CHUNK, max(4096, limit // 8)) if limit else CHUNK

    def log(self, text: str) -> None:
        self._control.log(text)

    def spend(self, count: int) -> None:
        """Account for bytes just moved: returns when the next ones may follow. Raises when cancelled."""
        self._control.check()
        while self._control.paused:
            self._tick(_TICK)
        limit = self._control.limit
        ahead = self._ahead(limit, count)
        while ahead > 0 and self._control.limit == limit:
            self._tick(ahead)
            ahead = self._ahead(limit, 0)

    def wait(self, seconds: float) -> None:
        """Sleep, unless cancelled: then raises."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._tick(left)

    def _ahead(self, limit: int | None, count: int) -> float:
        """Seconds by which the bytes spent so far run ahead of the limit."""
        now = time.monotonic()
        if not limit or limit <= 0:
            self._limit = None
            return 0.0
        self._spent += count
        ahead = self._spent / limit - (now - self._start)
        if limit != self._limit or ahead < -1.0:  # a new limit, or a pause: unused time is not saved up
            self._limit, self._start, self._spent = limit, now, count
            ahead = count / limit
        return ahead

    def _tick(self, seconds: float) -> None:
        time.sleep(min(seconds, _TICK))
        self._control.check()


class Meter:
    """Counts bytes and reports them: at most twice a second, and once when all are there."""

    INTERVAL = 0.5
    WINDOW = 5.0
    """Seconds over which the rate is taken: long enough to be calm, short enough to be true."""

    def __init__(self, total: int, report: Callable[[dict[str, Any]], None]) -> None:
        self.done = 0
        self._total = total
        self._report = report
        self._shown = 0
        self._last = -self.INTERVAL
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def add(self, count: int, file: str) -> None:
        """Some more bytes of `file` are written."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= self.INTERVAL or self.done == self._total:
            self._last = now
            self._tell(now, file)

    def rewind(self, done: int) -> None:
        """A file is thrown away. What was shown stays until the new attempt has passed it."""
        self.done = done
        self._samples = deque([(time.monotonic(), done)])

    def _tell(self, now: float, file: str) -> None:
        self._samples.append((now, self.done))
        while len(self._samples) > 2 and now - self._samples[0][0] > self.WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        rate = (self.done - before) / (now - since) if now > since else 0.0
        self._shown = max(self._shown, self.done)
        self._report(
            {
                "bytes_done": self._shown,
                "bytes_total": self._total,
                "rate": round(rate),
                "eta": round((self._total - self.done) / rate, 1) if rate > 0 else None,
                "file": file,
            }
        )
