"""The async client: as the sync one, on asyncio streams."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httptools

from model_manager.client import calls
from model_manager.client.call import Call, patience
from model_manager.client.endpoint import CONNECT_TIMEOUT, Endpoint
from model_manager.client.errors import refusal
from model_manager.client.failures import sentences
from model_manager.client.operations import AsyncOperations
from model_manager.client.sse import Message, Parser

T = TypeVar("T")

PIECE = 64 * 1024
"""Bytes read at once."""


class AsyncClient(Endpoint, AsyncOperations):
    """Speaks with the service at `url`; see `Endpoint` for what it takes. One connection a call, closed with it."""

    async def send(self, call: Call[T]) -> T:
        """Ask, and return the decoded answer. Raises ApiError or NotReachable."""
        status, body = await self.raw(call)
        return call.answer(status, body, self.url)

    async def raw(self, call: Call[T]) -> tuple[int, bytes]:
        """The status and the bytes of an answer, as they came."""
        timeout = patience(call, self._timeout)
        async with self._exchange(call, "application/json", timeout) as reply:
            return reply.status, b"".join([piece async for piece in reply.pieces()])

    def events(self, after: int | None = None) -> AsyncIterator[Message]:
        """The history as it happens, from after that id (None: from now on), until the service ends it."""
        return self.stream(calls.get_events(after=after))

    async def stream(self, call: Call[T], *, timeout: float | None = None) -> AsyncIterator[Message]:
        """The server-sent events that a call answers with when asked for them; see `Client.stream`."""
        async with self._exchange(call, "text/event-stream", timeout or self._timeout) as reply:
            if reply.status not in call.returns:
                body = b"".join([piece async for piece in reply.pieces()])
                raise refusal(reply.status, body, self.url)
            parser, rest = Parser(), b""
            async for piece in reply.pieces():
                *lines, rest = (rest + piece).split(b"\n")
                for message in filter(None, map(parser.line, lines)):
                    yield message

    @asynccontextmanager
    async def _exchange(self, call: Call[T], accept: str, timeout: float) -> AsyncIterator["_Reply"]:
        with sentences(self.url, CONNECT_TIMEOUT):
            reader, writer = await asyncio.wait_for(self._connect(), CONNECT_TIMEOUT)
        try:
            reply = _Reply(reader, timeout)
            with sentences(self.url, timeout):
                writer.write(self._request(call, accept))
                await asyncio.wait_for(writer.drain(), timeout)
                await reply.head()
                yield reply
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = self._address.scheme == "https"
        return await asyncio.open_connection(
            self._address.hostname,
            self._address.port or (443 if secure else 80),
            ssl=(self._tls or ssl.create_default_context()) if secure else None,
        )

    def _request(self, call: Call[T], accept: str) -> bytes:
        body = call.body() or b""
        target = self._address.path.rstrip("/") + call.target
        fields = {
            "host": self._address.netloc,
            "connection": "close",
            **call.headers(self._token, accept),
            **({"content-length": str(len(body))} if call.method != "GET" else {}),
        }
        lines = [f"{call.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class _Reply:
    """One answer, read as it comes. `timeout` in seconds is for each wait."""

    def __init__(self, reader: asyncio.StreamReader, timeout: float) -> None:
        self.status = 0
        self._reader = reader
        self._timeout = timeout
        self._parser = httptools.HttpResponseParser(self)
        self._arrived: list[bytes] = []
        self._complete = False
        self._framed = False

    async def head(self) -> None:
        """Until the status is known."""
        while not self.status:
            await self._read()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises EOFError when the connection ends before it does."""
        while True:
            for piece in self._arrived:
                yield piece
            self._arrived.clear()
            if self._complete:
                return
            await self._read()

    async def _read(self) -> None:
        data = await asyncio.wait_for(self._reader.read(PIECE), self._timeout)
        if data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise ConnectionError(str(error)) from error
        elif self._framed or not self.status:
            raise EOFError
        else:
            self._complete = True  # a body without a length ends with its connection

    # -- httptools calls these ----------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        self._arrived.append(piece)

    def on_message_complete(self) -> None:
        self._complete = True
