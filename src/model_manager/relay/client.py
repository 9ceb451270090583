"""The relay: asks model servers, keeps their connections, and lets none outlive its use."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from model_manager.errors import UpstreamError, UpstreamTimeout
from model_manager.relay.connection import Connection
from model_manager.relay.head import (
    Headers,
    Origin,
    Prepared,
    request_head,
    split_url,
)
from model_manager.relay.response import Response

CONNECT_TIMEOUT = 5.0
FIRST_BYTE_TIMEOUT = 600.0
"""Seconds. Reading a long prompt without a GPU takes minutes; the OpenAI clients' own limit is ten."""

IDLE_TIMEOUT = 120.0
"""Seconds between two pieces of a body."""

KEEP_SECONDS = 4.0
"""How long an unused connection is kept: less than the 5 s after which uvicorn and llama.cpp close it."""

TICK = 0.1
"""Seconds between two looks at the clock: how exact deadlines and the end of unused connections are."""

KEEP_COUNT = 128
"""Unused connections kept per origin; a burst's other ones are closed."""

Body = bytes | AsyncIterator[bytes] | None


class Relay:
    """A pooled HTTP/1.1 client for model servers on trusted addresses (loopback, pods): no TLS, no redirects.

    Whatever goes wrong is an UpstreamError with a sentence, a deadline's end an UpstreamTimeout.
    A cancelled request closes its connection. One relay belongs to one event loop.
    """

    def __init__(self) -> None:
        self._idle: dict[Origin, dict[Connection, None]] = {}  # oldest first
        self._all: set[Connection] = set()
        self._clock: asyncio.TimerHandle | None = None  # while there are connections
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        unique_headers: Headers = (),
        body: Body = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        first_byte_timeout: float = FIRST_BYTE_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> Response:
        """Ask, and return as soon as the answer's head is here. Timeouts in seconds.

        Headers that differ from request to request belong in `unique_headers`: the others are remembered.
        `first_byte_timeout` limits the wait for the head and again for the body's first byte,
        `idle_timeout` each later wait. Hop-by-hop headers and the caller's framing are not sent.
        """
        origin, target = split_url(url)
        streamed = not (body is None or isinstance(body, bytes))
        length = len(body) if isinstance(body, bytes) else None if streamed else 0
        head = request_head(method, target, origin, headers, length, unique_headers)
        connection = self._take(origin) or await self._connect(origin, connect_timeout)
        while True:
            response = Response(connection, first_byte_timeout, idle_timeout)
            connection.begin(response, method)
            try:
                await _exchange(connection, response, head, body, idle_timeout)
            except UpstreamTimeout:
                raise
            except UpstreamError:
                # A kept connection the server was just closing. Only what may be done twice is sent again.
                if not connection.reused or connection.answered or method != "GET" or streamed:
                    raise
                connection = await self._connect(origin, connect_timeout)
            else:
                return response

    def begin(
        self,
        prepared: Prepared,
        lines: bytes,
        body: bytes,
        *,
        first_byte_timeout: float = FIRST_BYTE_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> Response | None:
        """`request` without waiting for anything; None, and nothing sent, when no unused connection is kept.

        `lines` are headers that differ from request to request, whole and good: they are not looked at.
        `listen` to the answer, or `wait_for_head`. Whatever goes wrong from here on is the answer's to tell.
        """
        connection = self._take(prepared.origin)
        if connection is None:
            return None
        response = Response(connection, first_byte_timeout, idle_timeout)
        connection.begin(response, "POST")
        connection.send(b"%b%bcontent-length: %d\r\n\r\n%b" % (prepared.head, lines, len(body), body))
        return response

    async def json(
        self,
        method: str,
        url: str,
        *,
        key: str | None = None,
        payload: Any = None,
        timeout: float = 10.0,
        max_bytes: int = 1 << 20,
    ) -> tuple[int, Any]:
        """Ask a question about a server: (status, answer), all within `timeout` seconds.

        `key` is sent as a bearer token, `payload` as JSON. The answer is the decoded JSON, None when it
        is empty, and the text itself when it is no JSON (a health page may say just "OK").
        """
        headers = [(b"accept", b"application/json")]
        if key is not None:
            headers.append((b"authorization", b"Bearer " + key.encode("utf-8")))
        if payload is not None:
            headers.append((b"content-type", b"application/json"))
        body = None if payload is None else msgspec.json.encode(payload)
        try:
            async with asyncio.timeout(timeout):
                async with await self.request(method, url, headers=headers, body=body) as response:
                    return response.status, _decode(await response.read(max_bytes))
        except TimeoutError as error:
            origin, _ = split_url(url)
            raise UpstreamTimeout(f"{origin} did not answer in {timeout:g} s") from error

    async def aclose(self) -> None:
        """Close every connection, used ones too, and wait until they are gone."""
        self._closed = True
        connections = list(self._all)
        for connection in connections:
            connection.fail(UpstreamError("the service is stopping"))
        for connection in connections:
            await connection.gone

    # ── the pool ─────────────────────────────────────────────────────────────────────────────

    def _take(self, origin: Origin) -> Connection | None:
        """The most recently used connection that is still good."""
        resting = self._idle.get(origin)
        while resting:
            connection = next(reversed(resting))
            self._forget(connection)
            if connection.is_usable():
                return connection
            connection.fail(UpstreamError("closed while unused"))
        return None

    async def _connect(self, origin: Origin, timeout: float) -> Connection:
        if self._closed:
            raise UpstreamError("the service is stopping")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(origin, self._keep, self._lost), origin.host, origin.port
                )
        except TimeoutError as error:
            raise UpstreamTimeout(f"{origin} did not accept a connection in {timeout:g} s") from error
        except OSError as error:
            raise UpstreamError(
                f"cannot connect to {origin}: {_reason(error)}", "Is the model server running?"
            ) from error
        self._all.add(connection)
        if self._clock is None:
            self._clock = loop.call_later(TICK, self._tick, loop)
        return connection

    def _keep(self, connection: Connection) -> None:
        resting = self._idle.setdefault(connection.origin, {})
        resting[connection] = None
        connection.kept_until = connection.loop.time() + KEEP_SECONDS
        if len(resting) > KEEP_COUNT or self._closed:
            self._expire(next(iter(resting)))

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._all):
            if connection.kept_until is None:
                connection.look_at_the_clock(now)
            elif now >= connection.kept_until:
                self._expire(connection)
        self._idle = {origin: resting for origin, resting in self._idle.items() if resting}
        self._clock = loop.call_later(TICK, self._tick, loop) if self._all else None

    def _expire(self, connection: Connection) -> None:
        self._forget(connection)
        connection.fail(UpstreamError("closed while unused"))

    def _forget(self, connection: Connection) -> None:
        """It rests no longer, be it taken, expired or lost."""
        if connection.kept_until is None:
            return
        connection.kept_until = None
        del self._idle[connection.origin][connection]

    def _lost(self, connection: Connection) -> None:
        self._forget(connection)
        self._all.discard(connection)


async def _exchange(
    connection: Connection, response: Response, head: bytes, body: Body, idle_timeout: float
) -> None:
    """Send the request and wait for the answer's head; whatever interrupts this closes the connection."""
    try:
        if body is None or isinstance(body, bytes):
            connection.send(head + body if body else head)
        else:
            connection.send(head, more=True)
            await _send_chunked(connection, response, body, idle_timeout)
        await response.wait_for_head()
    except BaseException:
        response.close()
        raise


async def _send_chunked(
    connection: Connection, response: Response, body: AsyncIterator[bytes], idle_timeout: float
) -> None:
    async for chunk in body:
        if response.arrived:  # an early answer, such as 413: the rest is not wanted
            return
        if chunk:
            connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk), more=True)
        try:
            async with asyncio.timeout(idle_timeout):
                await connection.drain()
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{connection.origin} took no more of the request for {idle_timeout:g} s"
            ) from error
    connection.send(b"0\r\n\r\n")


def _reason(error: OSError) -> str:
    """The same words on asyncio and uvloop, which dress up an errno each in its own way."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)  # a name that does not resolve


def _decode(body: bytes) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace")
