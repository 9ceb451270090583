"""A way past ASGI's `send` for answers that only pass through: bytes straight to the client's connection.

`send` costs two coroutines a piece, and only a task that waits in `receive` learns that the client left. For a
stream of many small pieces that is most of its price. Our HTTP protocol therefore offers every HTTP/1.1 request an
Outlet as `scope["extensions"]["model_manager.outlet"]`; where there is none (another server, HTTP/1.0), `send` serves.
"""

from collections.abc import Callable, Iterable

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXTENSION = "model_manager.outlet"

Call = Callable[[], None]


class Outlet:
    """One answer, framed here and nowhere else. Whoever uses it uses no `send`, and leaves `receive` alone.

    `status` is what the answer began with, 0 before. An answer that returns without `end` is cut off by the server.
    """

    __slots__ = ("_chunked", "_cycle", "_on_gone", "_on_pause", "_on_resume", "_transport", "status")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.status = 0
        self._cycle = cycle
        self._transport = cycle.transport
        self._chunked = False
        self._on_gone: Call | None = None
        self._on_pause: Call | None = None
        self._on_resume: Call | None = None

    @property
    def gone(self) -> bool:
        """Whether nobody is there to read any more."""
        return self._cycle.disconnected or self._transport.is_closing()

    def on_gone(self, call: Call | None) -> None:
        """Call this when the client leaves."""
        self._on_gone = call

    def on_pressure(self, pause: Call, resume: Call) -> None:
        """Call `pause` when the client is slow and enough is held for it, and `resume` when that is gone.

        One that is slow already is told of at once.
        """
        self._on_pause, self._on_resume = pause, resume
        if self._cycle.flow.write_paused:
            pause()

    async def readable(self) -> None:
        """Until the client has read enough of the answers before this one, or has left.

        Without that wait, one that asks and never reads would have us keep all of its answers.
        """
        if self._cycle.flow.write_paused:
            await self._cycle.flow.drain()

    def begin(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], length: int | None, piece: bytes
    ) -> None:
        """Send the head, and with it the first piece. `length` in bytes; None for a body in chunks.

        Raises ValueError for a header with a line break or a NUL in it.
        """
        cycle = self._cycle
        fields = fields_of((*cycle.default_headers, *headers))
        self._chunked = length is None
        head = head_of(status, fields, cycle.keep_alive, length)
        self.status = status
        cycle.response_started = True
        if length is None:
            self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(piece), piece) if piece else head)
        else:
            self._transport.write(head + piece)

    def write(self, piece: bytes) -> None:
        """Send a piece that is not empty. Nothing is refused: who ignores `on_pressure` fills the memory."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def end(self) -> None:
        """The answer is whole; the connection goes on to the next request."""
        cycle = self._cycle
        # Nothing may lead from here back to here: what goes in circles waits for the collector, with all it holds.
        del self._cycle
        self._on_gone = self._on_pause = self._on_resume = None
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()

    def abort(self) -> None:
        """Close at once, also what was sent and is not read."""
        self._transport.abort()

    # ── for the protocol ─────────────────────────────────────────────────────────────────────

    def lost(self) -> None:
        if self._on_gone is not None:
            self._on_gone()

    def paused(self) -> None:
        if self._on_pause is not None:
            self._on_pause()

    def resumed(self) -> None:
        if self._on_resume is not None:
            self._on_resume()


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The lines of these headers. Raises ValueError for one with a line break or a NUL in it."""
    lines = [b"%b: %b\r\n" % pair for pair in headers]
    fields = b"".join(lines)
    # Every line break must be one of those above, or a header would begin another one.
    if fields.count(b"\n") != len(lines) or fields.count(b"\r") != len(lines) or b"\0" in fields:
        raise ValueError("a header holds a line break or a NUL")
    return fields


def head_of(status: int, fields: bytes, keep_alive: bool, length: int | None) -> bytes:
    """All before the body: `length` is that of it in bytes; None for one in chunks."""
    if length is None:
        framing = b"transfer-encoding: chunked\r\n"
    else:
        framing = b"" if status in (204, 304) else b"content-length: %d\r\n" % length
    connection = b"" if keep_alive else b"connection: close\r\n"
    return b"%b%b%b%b\r\n" % (STATUS_LINE[status], fields, connection, framing)


def outlet_of(scope: Scope) -> Outlet | None:
    """The request's outlet, where there is one."""
    found: Outlet | None = scope.get("extensions", {}).get(EXTENSION)
    return found
