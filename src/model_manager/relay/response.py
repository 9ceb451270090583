"""One answer on its way: filled by the connection's parser, emptied by whoever asked."""

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING

from model_manager.errors import UpstreamError, UpstreamTimeout

if TYPE_CHECKING:
    from model_manager.relay.connection import Connection

HIGH_WATER = 256 * 1024
"""Bytes held for a slow reader before the model server is made to wait (one socket read may exceed it)."""


class Response:
    """Status, headers and a body that passes as it comes; `async with` it, or close it.

    `headers` have lower-case names and no hop-by-hop ones. `length` is the body's length in bytes where
    the server declared it, else None. Iterating yields the body once; it raises UpstreamError when the
    server breaks off and UpstreamTimeout when it falls silent: a normal end is always a complete body.
    Closing before the end closes the connection, which is how a model server learns to stop.
    """

    def __init__(self, connection: "Connection", first_byte_timeout: float, idle_timeout: float) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.received = 0
        self.silent_at = inf  # when the wait for the server is over, on the event loop's clock
        self._connection = connection
        self._loop = connection.loop
        self._patience = first_byte_timeout  # for the head and the first byte of the body, then:
        self._idle_timeout = idle_timeout
        self._chunks: list[bytes] = []
        self._held = 0
        self._ended = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Callable[[bytes], None] | None = None
        self._on_news: Callable[[], None] | None = None
        self._on_hold = False

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    def __aiter__(self) -> "Response":
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._ended:
                raise StopAsyncIteration
            await self._more()
        return self.take()

    async def read(self, max_bytes: int) -> bytes:
        """The whole body; UpstreamError (and the connection closed) when it is longer than `max_bytes`."""
        chunks: list[bytes] = []
        total = 0
        async for chunk in self:
            total += len(chunk)
            if total > max_bytes:
                self.close()
                raise UpstreamError(f"{self._connection.origin} answered with more than {max_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def listen(self, call: Callable[[], None] | None) -> None:
        """Call this, while nobody waits, whenever something has come: a part of the answer, its end, or an error."""
        self._on_news = call
        self.silent_at = inf if call is None else self._loop.time() + self._patience

    @property
    def failed(self) -> bool:
        """Whether the answer broke off; waiting for more tells why."""
        return self._error is not None

    @property
    def is_whole(self) -> bool:
        """Whether the answer is here to its end, so that `take` gives all of it."""
        return self._ended

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hand the rest of the body to `sink` as it comes; returns and raises as iterating does.

        `sink` is called while the socket is read, so that no task wakes up for a piece. It must not wait: when
        it has enough, `hold` the body, and `release` it later.
        """
        self._sink = sink
        self._hand_on()
        while not self._ended:
            await self._more()

    def hold(self) -> None:
        """Make the model server wait; its silence is then ours and has no limit."""
        self._on_hold = True
        self.silent_at = inf
        if not self._ended:
            self._connection.pause_reading()

    def release(self) -> None:
        self._on_hold = False
        self.silent_at = self._loop.time() + self._idle_timeout
        if not self._ended:
            self._connection.resume_reading()

    def close(self) -> None:
        """Done with it: before the end this closes the connection, after it nothing is left to do."""
        if not self._ended and self._error is None:
            self._connection.fail(UpstreamError("the answer was closed before its end"))

    async def aclose(self) -> None:
        self.close()

    async def __aenter__(self) -> "Response":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── for the client: waiting ──────────────────────────────────────────────────────────────

    @property
    def arrived(self) -> bool:
        """Whether there is something to act upon: the head is here, or nothing will come."""
        return self.status != 0 or self._error is not None

    async def wait_for_head(self) -> None:
        while self.status == 0:
            await self._more()

    async def _more(self) -> None:
        """Until something happened. The clock runs only while we wait: a slow reader costs nothing."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        self.silent_at = inf if self._on_hold else self._loop.time() + self._patience
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self.silent_at = inf
            self._waiter = None

    def take(self) -> bytes:
        """What has come since the last time, without waiting for more."""
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._held >= HIGH_WATER and not self._ended:
            self._connection.resume_reading()
        self._held = 0
        self._patience = self._idle_timeout
        return chunk

    def _hand_on(self) -> None:
        if self._chunks and self._sink is not None:
            self._sink(self.take())

    # ── for the connection: arriving ─────────────────────────────────────────────────────────

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]], length: int | None) -> None:
        self.status, self.headers, self.length = status, headers, length

    def on_data(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.received += len(chunk)
        before, self._held = self._held, self._held + len(chunk)
        if before < HIGH_WATER <= self._held and self._sink is None:
            self._connection.pause_reading()

    def on_end(self) -> None:
        self._ended = True

    def on_read(self) -> None:
        """All that one read of the socket brought is here."""
        if self._sink is None:
            self._wake()
        elif self._ended:
            self._hand_on()
            self._wake()
        elif self._chunks:
            self._hand_on()
            if not self._on_hold:  # as the sink may have asked just now
                self.silent_at = self._loop.time() + self._idle_timeout

    def on_error(self, error: UpstreamError) -> None:
        self._hand_on()
        self._error = error
        self._wake()

    def on_silence(self) -> None:
        """The clock has passed `silent_at`."""
        origin, patience = self._connection.origin, self._patience
        what = (
            f"sent nothing more for {patience:g} s" if self.received else f"did not answer in {patience:g} s"
        )
        hint = "The model server may be overloaded or stuck; its log says more."
        self._connection.fail(UpstreamTimeout(f"{origin} {what}", hint))

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
        elif self._on_news is not None:
            if not self._ended:
                self.silent_at = self._loop.time() + self._idle_timeout
            self._on_news()
