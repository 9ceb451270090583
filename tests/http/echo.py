"""A server on our protocol whose application keeps what it was asked, and the bytes that it answers on a raw socket."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from model_manager.http.connections import Connections, Limits
from model_manager.http.shortcut import Shortcut
from model_manager.http.tls import Certificate
from tests.http.live import serving

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"

QUICK = Limits(head_seconds=0.4, body_seconds=0.4, idle_seconds=0.4, stall_seconds=0.4, look_seconds=0.05)

Asked = tuple[bytes, bytes, bytes]
"""(method, path, body) of a request that was read to its end."""


class Echo:
    """Answers with `answer` bytes once a request's body was read; `held` keeps it from answering."""

    def __init__(self, answer: bytes = b"ok") -> None:
        self.asked: list[Asked] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.left = 0
        self.held = asyncio.Event()
        self.held.set()
        self.saw: Callable[[Scope], object] = id  # is called with each request
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.saw(scope)
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            self.left += 1
            return
        await self.held.wait()
        self.asked.append((scope["method"].encode(), scope["raw_path"], body))
        self.headers.append(list(scope["headers"]))
        length = (b"content-length", b"%d" % len(self._answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": self._answer})


class Peer:
    """A client that sends exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def end(self, seconds: float = 5) -> bytes:
        """Everything until the server ends the connection; b"" too when it does so without a word."""
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def answer(self, seconds: float = 5) -> bytes:
        """The next response of an Echo, whole."""
        async with asyncio.timeout(seconds):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self.reader.readexactly(length)

    def abort(self) -> None:
        self.writer.transport.abort()


class Server:
    def __init__(self, port: int, echo: Echo, connections: Connections) -> None:
        self.port, self.echo, self.connections = port, echo, connections
        self._peers: list[Peer] = []

    async def peer(
        self, data: bytes = b"", *, buffer: int | None = None, tls: ssl.SSLContext | None = None
    ) -> Peer:
        # With its protocol named, asyncio lets it send each piece at once.
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        name = None if tls is None else "127.0.0.1"
        peer = Peer(
            *await asyncio.open_connection(sock=connection, limit=1 << 16, ssl=tls, server_hostname=name)
        )
        self._peers.append(peer)
        peer.send(data)
        return peer

    async def say(self, data: bytes) -> bytes:
        """What the server answers to exactly these bytes, until it closes the connection."""
        return await (await self.peer(data)).end()

    def close(self) -> None:
        for peer in self._peers:
            peer.abort()


@asynccontextmanager
async def echoing(
    limits: Limits | None = None,
    answer: bytes = b"ok",
    certificate: Certificate | None = None,
    shortcut: Shortcut | None = None,
) -> AsyncIterator[Server]:
    echo, connections = Echo(answer), Connections(limits)
    async with serving(echo, connections, certificate, shortcut) as client:
        assert client.base_url.port is not None
        server = Server(client.base_url.port, echo, connections)
        try:
            yield server
        finally:
            server.close()


def problem(answer: bytes, status: int, code: str) -> dict[str, Any]:
    """The protocol's own refusal: a problem like the API's, and the end of the connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    lines = head.lower().split(b"\r\n")
    assert b"connection: close" in lines
    assert b"content-type: application/problem+json" in lines
    assert b"content-length: %d" % len(body) in lines
    found: dict[str, Any] = json.loads(body)
    assert (found["status"], found["code"]) == (status, code)
    assert found["detail"].endswith(".")
    return found
