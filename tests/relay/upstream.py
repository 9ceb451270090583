"""A real server on a real port that says exactly the bytes a test wants, and sees when its client leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Asked:
    """One request as it arrived."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.rstrip(b"\r\n").split(b"\r\n")
        self.line = lines[0]
        self.headers = [
            (name.lower(), value.strip()) for name, _, value in (x.partition(b":") for x in lines[1:])
        ]
        self.body = body

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


class Peer:
    """The server's end of one connection."""

    def __init__(
        self, upstream: "Upstream", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.upstream, self.reader, self.writer = upstream, reader, writer
        self.number = upstream.connections

    async def request(self) -> Asked:
        head = await self.reader.readuntil(b"\r\n\r\n")
        asked = Asked(head, b"")
        if asked.header(b"transfer-encoding") == b"chunked":
            asked.body = await self.chunks()
        else:
            asked.body = await self.reader.readexactly(int(asked.header(b"content-length") or b"0"))
        self.upstream.requests.append(asked)
        return asked

    async def chunks(self) -> bytes:
        chunks = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            chunks.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return b"".join(chunks)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def client_left(self) -> None:
        """Until the client closes its end; what it still sends is thrown away."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.upstream.left += 1

    def reset(self) -> None:
        self.writer.transport.abort()


Talk = Callable[[Peer], Awaitable[None]]


def answering(*answers: bytes) -> Talk:
    """Each request of a connection gets the next answer; after the last one the connection is closed."""

    async def talk(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)

    return talk


async def ever(peer: Peer) -> None:
    """`ok` to everything, on one connection."""
    while True:
        await peer.request()
        await peer.send(OK)


class Upstream:
    """`async with Upstream(talk) as upstream:` serves each connection with `talk`."""

    def __init__(self, talk: Talk = ever, port: int = 0) -> None:
        self.talk = talk
        self.port = port
        self.requests: list[Asked] = []
        self.connections = 0
        self.left = 0
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self.connections += 1
        try:
            await self.talk(Peer(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(task)
            writer.close()
