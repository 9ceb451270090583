"""One connection to a model server: an asyncio protocol around httptools' response parser."""

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from model_manager.errors import UpstreamError
from model_manager.relay.head import Origin, end_to_end
from model_manager.relay.known import cut, is_sound
from model_manager.relay.response import Response

MAX_HEAD_BYTES = 64 * 1024
"""Most bytes that may arrive without carrying a body: of the head, of trailers, of chunk extensions."""

MAX_HEADERS = 256


class Connection(asyncio.Protocol):
    """Carries one exchange at a time; `on_free` is called when it can take the next, `on_lost` at its end."""

    def __init__(
        self, origin: Origin, on_free: Callable[["Connection"], None], on_lost: Callable[["Connection"], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.origin = origin
        self.reused = False  # it has carried an exchange before, so the server may be about to close it
        self.answered = False  # a byte of the current answer has arrived
        self.kept_until: float | None = None  # set by the pool while the connection rests in it
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._response: Response | None = None
        self._writable: asyncio.Future[None] | None = None
        self._poll: select.poll | None = None
        self._known = (
            b""  # the last head of a 200 that came whole, without the digits of its length, and its headers
        )
        self._known_headers: list[tuple[bytes, bytes]] = []
        self._sending = False
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields = 0
        self._head_bytes = 0
        self._bodiless = 0
        self._bodies = True
        self._until_close = False
        self._complete = False
        self._keep_alive = False

    # ── for the client ───────────────────────────────────────────────────────────────────────

    def begin(self, response: Response, method: str) -> None:
        """The next answer belongs to `response`."""
        self._reset()
        self._bodies = method != "HEAD"
        self.answered = False
        self._response = response

    def send(self, data: bytes, *, more: bool = False) -> None:
        """Write a part of the request; `more` while it is not all of it."""
        self._sending = more
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Until the server has taken enough of what was sent, or answers already."""
        if self._writable is not None and self._response is not None and not self._response.arrived:
            await self._writable

    def fail(self, error: UpstreamError) -> None:
        """Close at once; the current answer ends with `error`."""
        response, self._response = self._response, None
        self._transport.abort()
        self.resume_writing()
        if response is not None:
            response.on_error(error)

    def is_usable(self) -> bool:
        """Whether a request may be written: open, and neither an end nor stray bytes wait in the socket."""
        if self._transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def look_at_the_clock(self, now: float) -> None:
        """Called again and again by the pool; one clock for all is cheaper than a timer for each wait."""
        if self._response is not None and now >= self._response.silent_at:
            self._response.on_silence()

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # ── asyncio.Protocol ─────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._response is None:  # an answer nobody asked for must not become the next one's
            self._transport.abort()
            return
        response = self._response
        found = None if self.answered else cut(data)
        self.answered = True
        if found is not None and self._is_known(data, *found):
            self._finish()
            response.on_read()
            return
        self._bodiless += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep_alive = False
            if not self._complete:
                cause = error.__context__ if isinstance(error.__context__, UpstreamError) else None
                self.fail(cause or UpstreamError(f"{self.origin} does not speak HTTP/1.1: {error}"))
        else:
            if self._bodiless > MAX_HEAD_BYTES and not self._complete:
                self.fail(self._too_large())
        if self._complete:
            if found is not None and self._keep_alive:
                self._learn(found[0], response)
            self._finish()
        response.on_read()

    def connection_lost(self, exc: Exception | None) -> None:
        response = self._response
        if response is not None:
            if self._until_close and exc is None:
                self._response = None
                response.on_end()
                response.on_read()
            else:
                self.fail(UpstreamError(self._how_it_broke(response)))
        self.resume_writing()
        self.gone.set_result(None)
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # ── httptools ────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep_alive = False  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        self._fields += 1
        if self._head_bytes > MAX_HEAD_BYTES or self._fields > MAX_HEADERS:
            raise self._too_large()
        self._headers.append((name.lower(), value))  # trailers too: they are never looked at

    def on_headers_complete(self) -> None:
        response, status = self._response, self._parser.get_status_code()
        if response is None or self._complete or (100 <= status < 200 and status != 101):
            return
        if status == 101 or not 100 <= status < 600 or self._parser.get_http_version() not in ("1.1", "1.0"):
            raise UpstreamError(f"{self.origin} does not speak HTTP/1.1 (status {status})")
        length = self._framing(status)
        self._bodiless = 0
        response.on_head(status, end_to_end(self._headers), length)
        self.resume_writing()
        if not self._bodies:  # httptools cannot be told of HEAD, so the connection is not used again
            self._complete = True
            response.on_end()

    def on_body(self, body: bytes) -> None:
        self._bodiless = 0
        if self._response is not None and not self._complete:
            self._response.on_data(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # an interim answer: the real one follows
            self._headers = []
        elif not self._complete and self._response is not None:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()
            self._response.on_end()

    # ── past httptools ───────────────────────────────────────────────────────────────────────

    def _is_known(self, data: bytes, head: bytes, start: int, length: int) -> bool:
        """Whether this is a whole answer with the last one's head: then it is taken, and the parser need not see it."""
        response = self._response
        if head != self._known or len(data) != start + length or not self._bodies or response is None:
            return False
        before, behind = self._around_length
        response.on_head(200, [*before, (b"content-length", b"%d" % length), *behind], length)
        if length:
            response.on_data(data[start:])
        response.on_end()
        self._complete = self._keep_alive = True
        return True

    def _learn(self, head: bytes, response: Response) -> None:
        """Remember the head of an answer that came in one piece, and after which the connection is kept."""
        if response.status == 200 and self._bodies and is_sound(head, self._headers):
            at = [name for name, _ in response.headers].index(b"content-length")
            self._known, self._around_length = head, (response.headers[:at], response.headers[at + 1 :])

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _framing(self, status: int) -> int | None:
        """The body's declared length, None when it is chunked or ends with the connection."""
        if not self._bodies or status in (204, 304):
            return 0
        codings, length = [], None
        for name, value in self._headers:
            if name == b"transfer-encoding":
                codings.append(value.strip().lower())
            elif name == b"content-length":
                length = int(value)
        if codings:
            if codings != [b"chunked"]:  # another coding would be lost with its header
                raise UpstreamError(f"{self.origin} uses a transfer coding other than chunked")
            return None
        # httptools refuses repeated, empty and malformed lengths, and one beside a transfer coding
        self._until_close = length is None
        return length

    def _finish(self) -> None:
        """The answer is complete: rest in the pool, unless something speaks against it."""
        response, self._response = self._response, None
        unsent = self._sending or self._transport.get_write_buffer_size() > 0
        if response is None or not self._keep_alive or unsent or self._transport.is_closing():
            self._transport.abort()
            self.resume_writing()
            return
        self._transport.resume_reading()  # the last bytes may have filled the answer's buffer
        self.reused = True
        self._on_free(self)

    def _too_large(self) -> UpstreamError:
        return UpstreamError(
            f"{self.origin} sent more than {MAX_HEAD_BYTES // 1024} KiB or {MAX_HEADERS} fields of headers"
        )

    def _how_it_broke(self, response: Response) -> str:
        if not self.answered:
            return f"{self.origin} closed the connection without an answer"
        if response.status == 0:
            return f"{self.origin} closed the connection within its answer's head"
        return f"{self.origin} broke off its answer after {response.received} bytes of the body"
