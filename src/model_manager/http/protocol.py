"""uvicorn's HTTP protocol with the limits it lacks, all of them before any token is asked for.

Without them whoever can connect makes the service keep a header that never ends, ten thousand connections, or a
request of which one byte comes a minute. It is also stricter where two readers could see two different requests in
the same bytes (RFC 9112 §11.2): what httptools lets pass of that is refused here.
"""

import math
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from model_manager.errors import InvalidRequest, ModelManagerError
from model_manager.http.connections import Connections, Place
from model_manager.http.outlet import EXTENSION, Outlet
from model_manager.http.refusals import (
    CodingNotSupported,
    HeadTooLarge,
    RequestTimeout,
    TargetTooLong,
    VersionNotSupported,
    refusal,
)
from model_manager.http.shortcut import Shortcut, ShortcutProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's line and headers, and of trailers and chunk sizes between two pieces of its body."""

MAX_HEADERS = 100

MAX_TARGET_BYTES = 16 * 1024

BODY_PIECE = 16 * 1024
"""Bytes that a body must bring, unless it ends, in each `Limits.body_seconds`."""

MAX_AHEAD = 256
"""Requests that a client may send before the first of them is answered."""

FIRST_REQUEST = 0.5
"""Seconds that a stopping server waits for what is on its way on a connection that has asked nothing yet."""

LINGER = 2.0
LINGER_BYTES = 4 << 20
"""Seconds and bytes that a client may still send when it was answered already: closed at once, its system may drop
the answer unread.
"""

_NEVER = math.inf
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_WATCHED_FIELDS = frozenset({b"host", b"expect", b"transfer-encoding"})


class BoundedProtocol(ShortcutProtocol):
    """One connection. Refusals are problems like those of the API, and end it."""

    _crowd: ClassVar[Connections]

    place: Place | None = None
    """Set before `connection_made` by whoever counted this connection already."""

    read_by: float
    write_by: float

    _deaf = False
    """Nothing that still comes is looked at."""

    _in_head = _in_body = False
    _is_first = True

    _is_last = False
    """The server stops: the request that still comes is told that no other one is waited for."""

    _is_known = False
    """The parser reads a head of our own making, for the sake of the body behind it."""

    _beside = 0
    """Bytes that arrived since the last piece of a body or the last request's end."""

    _head = _fields = _hosts = _brought = 0

    _answering: RequestResponseCycle | None = None
    """The request that is being answered; `cycle` is the last one that was read, maybe far ahead of it."""

    _outlet: Outlet | None = None
    """Of the request that is being answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = self._crowd.limits
        self.read_by = self._crowd.now + self._limits.head_seconds
        self.write_by = _NEVER

    # -- the connection -----------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._crowd.watch(self)
        try:
            self.place = self.place or self._crowd.admit(self.client[0] if self.client else None)
        except ModelManagerError as error:
            if self._crowd.crowded:
                transport.abort()
            else:
                self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.forget(self)
        if self.place is not None:
            self.place.leave()
        super().connection_lost(exc)
        if (
            self._answering is not None and not self._answering.response_complete
        ):  # uvicorn tells only `cycle`
            self._answering.disconnected = True
            self._answering.message_event.set()
        if self._outlet is not None:
            self._outlet.lost()

    def shutdown(self) -> None:
        """The server stops. Closed now, a connection that was just made would lose its request unanswered."""
        if self._is_first and not self._deaf and not self.transport.is_closing():
            self._is_last = True
            self.loop.call_later(FIRST_REQUEST, super().shutdown)
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        self._beside += len(data)
        if self._deaf:
            if self._beside > LINGER_BYTES:
                self.transport.abort()
            return
        if self.shortcut is not None and not self._is_last and not self._is_busy():
            data = self.offer(data)
            if not data:
                self._wait_beside_parser()
                return
        self.feed(data)

    def _is_busy(self) -> bool:
        """Whether the parser is within a request, or the last one that it read is not answered."""
        return (
            self._in_head or self._in_body or (self.cycle is not None and not self.cycle.response_complete)
            or self.transport.is_closing()
        )  # fmt: skip

    def _wait_beside_parser(self) -> None:
        """For the rest of a body, or for an answer: a request is held or on the short way."""
        self._beside = 0
        self._is_first = False
        self.read_by = _NEVER if self._taken else self._crowd.now + self._limits.body_seconds

    def feed(self, data: bytes) -> None:
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ModelManagerError) else _malformed(error))
        else:
            if self._beside > MAX_HEAD_BYTES:
                self._refuse(_too_large())

    def _parse(self, data: bytes) -> None:
        """Feed the parser. One that meets an offer to upgrade stops behind the head, and skips a body.

        Nothing is offered here to upgrade to, so it is an ordinary request (RFC 9110 §7.8; Java's HttpClient makes
        them of all its first ones): another parser reads on, told only how the body is framed.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                framing = b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] in _FRAMING)
                data = b"POST / HTTP/1.1\r\n%b\r\n%b" % (framing, data[stop.args[0] :])
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
                self._is_known = True
            else:
                return

    def pause_writing(self) -> None:
        self.write_by = self._crowd.now + self._limits.stall_seconds
        super().pause_writing()
        if self._outlet is not None:
            self._outlet.paused()

    def resume_writing(self) -> None:
        self.write_by = _NEVER
        super().resume_writing()
        if self._outlet is not None:
            self._outlet.resumed()

    # -- one request, as the parser tells of it: what is raised here ends in `data_received` ----------------

    def on_message_begin(self) -> None:
        if self._is_known:
            return
        super().on_message_begin()
        self._head = self._fields = self._hosts = 0
        self._in_head = True
        if not self._is_first:  # the first one's time began with the connection
            self.read_by = self._crowd.now + self._limits.head_seconds

    def on_url(self, url: bytes) -> None:
        if self._is_known:
            return
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            raise TargetTooLong(
                f"The request's target is longer than {MAX_TARGET_BYTES} bytes.",
                "Send what is long in the body.",
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers come here too; they are counted and dropped, for they must not become headers (RFC 9110 §6.5.1)."""
        self._head += len(name) + len(value)
        self._fields += 1
        if self._head > MAX_HEAD_BYTES or self._fields > MAX_HEADERS:
            raise _too_large()
        if self._in_body:  # or in a head that is known
            return
        name = name.lower()
        if name in _WATCHED_FIELDS:
            self._look_at(name, value.lower())
        self.headers.append((name, value))

    def _look_at(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif name == b"transfer-encoding":
            if value != b"chunked":
                raise CodingNotSupported(
                    "The body's transfer coding is not `chunked`.", "Send it with a Content-Length."
                )
        elif value == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        if self._is_known:
            self._is_known = False
            return
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise VersionNotSupported(f"HTTP/{version} is not spoken here.", "Use HTTP/1.1.")
        if self._hosts > 1 or (self._hosts == 0 and version == "1.1"):
            raise InvalidRequest(f"A request names its Host once; this one names it {self._hosts} times.")
        if not self.url.startswith(b"/"):
            self._check_authority()
        if len(self.pipeline) > MAX_AHEAD:
            raise InvalidRequest(f"More than {MAX_AHEAD} requests were sent before an answer was read.")
        super().on_headers_complete()
        self.cycle.keep_alive = self.cycle.keep_alive and not self._is_last
        self._in_head, self._in_body = False, True
        self._brought = 0
        self.read_by = self._crowd.now + self._limits.body_seconds

    def _check_authority(self) -> None:
        """`GET http://host/path`: the host counts, not the header (RFC 9112 §3.2.2). Both must be the same one."""
        authority = self.url.partition(b"://")[2].partition(b"/")[0]
        if not authority or any(value != authority for name, value in self.headers if name == b"host"):
            raise InvalidRequest("The request's target is not a path, or of another host than its Host.")

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        self._brought += len(body)
        if self.cycle.response_complete:
            if self._brought > LINGER_BYTES:
                self.transport.abort()
        elif self._brought >= BODY_PIECE:
            self._brought = 0
            self.read_by = self._crowd.now + self._limits.body_seconds
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():  # it only says so: see `_parse`
            return
        self._beside = 0
        self._in_body = self._is_first = False
        super().on_message_complete()
        self.read_by = _NEVER
        if self.cycle.response_complete:
            self._rest()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: Any = cycle.scope
        self._answering, self._outlet = cycle, None
        if scope["http_version"] == "1.1" and scope["method"] != "HEAD":
            self._outlet = Outlet(cycle)
            scope["extensions"] = {EXTENSION: self._outlet}
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """As uvicorn's, but that a silent connection is found by the look instead of a timer for each request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self.write_by = self._crowd.now + self._limits.stall_seconds
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._in_body:  # what was not waited for: closed at once, it would take our answer with it
            self._brought = 0
            self.read_by = self._crowd.now + LINGER
        elif not self._in_head:
            self._rest()

    def _rest(self) -> None:
        self.read_by = self._crowd.now + self._limits.idle_seconds

    # -- the end ------------------------------------------------------------------------------------------

    def late(self) -> None:
        """A deadline has passed: the client's, or one for its leaving."""
        if self._deaf or self.transport.is_closing() or self.write_by < self._crowd.now:
            self.transport.abort()
            return
        self.give_up()
        if self._in_body:
            if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # it is waiting for us
                self.read_by = self._crowd.now + self._limits.body_seconds
            else:
                self._refuse(_slow("body", self._limits.body_seconds))
        elif self._in_head:
            self._refuse(_slow("head", self._limits.head_seconds))
        else:
            self._close()

    def _refuse(self, error: ModelManagerError) -> None:
        """Say `error` where an answer may stand, and hear no more from this client."""
        self._deaf = True
        self.read_by = _NEVER
        cycle = self.cycle
        if self._in_body:
            if cycle.response_started or self.pipeline:  # it would land inside of, or before, another answer
                self._close()
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if self._outlet is not None:
                self._outlet.lost()
        elif cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False  # the requests before this one get their answers, and then it ends
            return
        self.transport.write(refusal(error, self.server_state.default_headers))
        if self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
            self.read_by = self._crowd.now + LINGER
        else:  # TLS
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self.read_by = _NEVER
        self.write_by = self._crowd.now + self._limits.stall_seconds


def bounded(
    connections: Connections | None = None, shortcut: Shortcut | None = None
) -> type[BoundedProtocol]:
    """The protocol of one server, counting in `connections`. A class, since that is what uvicorn takes."""
    own = {"_crowd": connections or Connections(), "shortcut": shortcut}
    return type("Bounded", (BoundedProtocol,), own)


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(
        f"The request's head is larger than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} fields.",
        "Send fewer and shorter headers.",
    )


def _slow(part: str, seconds: float) -> RequestTimeout:
    return RequestTimeout(f"The request's {part} did not come within {seconds:g} s.", "Send it faster.")


def _malformed(error: httptools.HttpParserError) -> InvalidRequest:
    return InvalidRequest("This is not an HTTP request that can be read in only one way.", f"{error}."[:200])
