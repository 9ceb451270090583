"""One answer on its way: filled by the connection's parser, emptied by whoever asked."""

import asyncio
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
        self._connection = connection
        self._loop = connection.loop
        self._patience = first_byte_timeout  # for the head and the first byte of the body, then:
        self._idle_timeout = idle_timeout
        self._chunks: list[bytes] = []
        self._held = 0
        self._ended = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

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
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._patience = self._idle_timeout
        if self._held >= HIGH_WATER and not self._ended:
            self._connection.resume_reading()
        self._held = 0
        return chunk

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
        timer = self._loop.call_later(self._patience, self._expire)
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            timer.cancel()
            self._waiter = None

    def _expire(self) -> None:
        origin, patience = self._connection.origin, self._patience
        what = (
            f"sent nothing more for {patience:g} s" if self.received else f"did not answer in {patience:g} s"
        )
        hint = "The model server may be overloaded or stuck; its log says more."
        self._connection.fail(UpstreamTimeout(f"{origin} {what}", hint))

    # ── for the connection: arriving ─────────────────────────────────────────────────────────

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]], length: int | None) -> None:
        self.status, self.headers, self.length = status, headers, length
        self._wake()

    def on_data(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.received += len(chunk)
        before, self._held = self._held, self._held + len(chunk)
        if before < HIGH_WATER <= self._held:
            self._connection.pause_reading()
        self._wake()

    def on_end(self) -> None:
        self._ended = True
        self._wake()

    def on_error(self, error: UpstreamError) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
