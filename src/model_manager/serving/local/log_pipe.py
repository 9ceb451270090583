"""The reading end of a child's output. It never makes the child wait, whatever the child writes."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable

from model_manager.serving.local.log_ring import LineSplitter

RATE_BYTES = 1 << 20
"""Bytes a second that are kept in the long run; a flood beyond it is read and dropped, with a note."""

BURST_BYTES = 4 << 20
PIPE_BYTES = 1 << 20  # room for what comes while the loop is busy; Linux's default is 64 KiB
_CHUNK = 1 << 16


class LogPipe:
    """Reads on the event loop: 64 KiB a turn, so that a flood cannot keep the loop from its other work."""

    def __init__(self, deliver: Callable[[list[str]], None], secrets: Iterable[str] = ()) -> None:
        self._deliver = deliver
        self._splitter = LineSplitter(secrets)
        self._loop = asyncio.get_running_loop()
        self._budget: float = BURST_BYTES
        self._refilled = time.monotonic()
        self._dropped = 0
        self._reader, self.writer = os.pipe()  # both are closed on exec
        os.set_blocking(self._reader, False)
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._loop.add_reader(self._reader, self._read)

    def close_writer(self) -> None:
        """Let go of our copy of the writing end, once the child has its own."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        """Take what is there and stop, though somebody may still hold the other end."""
        self.close_writer()
        end = time.monotonic() + 0.1
        while self._reader >= 0 and time.monotonic() < end and self._read():
            pass
        self._end()

    def _read(self) -> bool:
        """Take one piece. False: nothing is there now, or nothing will come any more."""
        try:
            data = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        now = time.monotonic()
        self._budget = min(BURST_BYTES, self._budget + (now - self._refilled) * RATE_BYTES)
        self._refilled = now
        if self._budget < len(data):
            self._dropped += len(data)
            self._splitter.skip()
            return
        self._budget -= len(data)
        self._note_dropped()
        self._deliver(self._splitter.feed(data))

    def _note_dropped(self) -> None:
        if self._dropped:
            self._deliver([f"({self._dropped} bytes of output dropped: more than {RATE_BYTES} a second)"])
            self._dropped = 0

    def _end(self) -> None:
        if self._reader < 0:
            return
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        self._reader = -1
        self._note_dropped()
        self._deliver(self._splitter.flush())
