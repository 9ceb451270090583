"""The gateway as clients meet it: under uvicorn, behind the outermost middleware, asked byte by byte."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn
from starlette.types import Receive, Scope, Send

from model_manager.gateway import Shortcut, error_response, routes
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.protocol import bounded
from model_manager.relay import Relay
from model_manager.serving.targets import Coming, Only, Target, Targets
from model_manager.tokens import Keyring
from tests.relay.upstream import OK, Peer, Talk, Upstream

CHAT = "/v1/chat/completions"
ORIGINS: tuple[str, ...] = ()
"""Of pages that may ask."""


class Slots(Targets):
    """Two slots that serve and one that does not yet; `found` and `busy` say what the gateway did."""

    def __init__(self, url: str, other: str = "http://127.0.0.1:1", wait: float = 0.0) -> None:
        super().__init__("active-llm", ("second", "third"), wait=wait, queue=2, entry_of={"idle": "idle"}.get)
        demo = Target("active-llm", url, "upstream-k3y", "served-demo", "demo")
        self.open(demo)
        self.open(Target("second", other, None, "other", "other"))
        self.expect("third", Coming("late", frozenset({"late"}), "starting"))
        self.found: list[str | None] = []

    def find(self, model: str | None, only: Only = None) -> Target:
        self.found.append(model)
        return super().find(model, only)

    @property
    def busy(self) -> int:
        return self.in_flight("active-llm") + self.in_flight("second")


class Gateway:
    """Where the gateway listens, and what it observed."""

    def __init__(self, port: int, slots: Slots) -> None:
        self.port, self.slots = port, slots
        self.keyring = Keyring("client-t0ken")
        self.statuses: list[int] = []
        self.of_application = 0  # requests that came by ASGI

    async def connect(self) -> "Client":
        return Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24))

    async def ask(
        self, body: Any = None, path: str = CHAT, method: str = "POST", headers: dict[str, str] | None = None
    ) -> "Answer":
        client = await self.connect()
        try:
            await client.send(body, path, method, headers)
            return await client.answer()
        finally:
            client.leave()


class Answer:
    """All that came until the gateway closed; `complete` when its framing says that it is whole."""

    def __init__(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = [
            (name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])
        ]
        if self.header("transfer-encoding") == "chunked":
            self.body, self.complete = unchunked(rest)
        else:
            self.body = rest
            self.complete = len(rest) == int(self.header("content-length") or -1)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


def unchunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return body, data == b"\r\n"
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body, False


class Client:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(
        self,
        body: Any = None,
        path: str = CHAT,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"Host": "127.0.0.1", "Connection": "close", "Content-Type": "application/json"}
        given |= {"Content-Length": str(len(data))} | (headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        return Answer(await self.reader.read(-1))

    def leave(self) -> None:
        self.writer.transport.abort()


Way = Literal["any server", "own server", "known head"]
"""By ASGI's `send`; past it; and past ASGI altogether, as a request whose head was seen before."""

WAY: Way = "own server"


@asynccontextmanager
async def serving(slots: Slots, **timeouts: float) -> AsyncIterator[Gateway]:
    """Serve the gateway on a port of its own."""
    relay = Relay()
    of_relay = {name: value for name, value in timeouts.items() if name != "slow_reader_timeout"}
    listener = socket.create_server(("127.0.0.1", 0))
    gateway = Gateway(listener.getsockname()[1], slots)
    shortcut = None
    if WAY == "known head":
        shortcut = Shortcut(
            slots, relay, **of_relay,
            observe_http=lambda method, path, status, seconds: gateway.statuses.append(status),
        )  # fmt: skip
    app = application(
        (),
        version="0",
        auth=Auth(gateway.keyring, loopback=True, cors_origins=ORIGINS),
        closing=asyncio.Event(),
        others=routes(slots, relay, shortcut=shortcut, **timeouts),
        respond=error_response,
        observe=lambda method, path, status, seconds: gateway.statuses.append(status),
    )
    http: Any = "httptools" if WAY == "any server" else bounded(shortcut=shortcut)

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        gateway.of_application += 1
        await app(scope, receive, send)

    config = uvicorn.Config(
        counted, http=http, lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])  # not `serve`, which takes the process's signals
    try:
        yield gateway
    finally:
        await server.shutdown(sockets=[listener])
        await relay.aclose()


@asynccontextmanager
async def behind(talk: Talk, **timeouts: float) -> AsyncIterator[tuple[Upstream, Gateway]]:
    """A scripted server as the model `demo`, and the gateway before it."""
    async with Upstream(talk) as upstream, serving(Slots(upstream.url), **timeouts) as gateway:
        if WAY == "known head":
            upstream.talk = _after_one(talk)
            assert (await gateway.ask({})).status == 200
            upstream.requests.clear()
            gateway.slots.found.clear()
            gateway.statuses.clear()
            upstream.talk = talk
            upstream.connections = 0
        yield upstream, gateway


def _after_one(talk: Talk) -> Talk:
    async def warmed(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await talk(peer)

    return warmed
