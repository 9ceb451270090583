"""What `bench.gateway` measures: a scripted model server, the gateway, and three relays that do less.

Each is a process of its own on one core. The relays beside the gateway know no token, model, header rule, limit
or deadline, and notice no client that leaves: what the gateway costs above the bare ASGI relay is the price of those.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import httptools
import uvicorn
import uvloop

from model_manager.gateway import Shortcut, Target, routes
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.protocol import bounded
from model_manager.metrics import Metrics
from model_manager.relay import Relay
from model_manager.serving.targets import Targets
from model_manager.tokens import Keyring
from model_manager.web.routes import NOUNS

TOKEN = "a-token-of-thirty-two-characters"
MODEL = "gpt-4o"

ANSWER_BODY = json.dumps(
    {
        "choices": [{"message": {"content": "word " * 50}}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70},
    }
).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER_BODY)
    + ANSWER_BODY
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = (
    b'data: {"id":"chatcmpl-%08d","object":"chat.completion.chunk",'
    b'"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
)
EVENT_SIZE = len(EVENT % 0)


def event(number: int) -> bytes:
    """The n-th event of every stream: all have one size, no two of a stream are alike."""
    return EVENT % number


class Exchanges(asyncio.Protocol):
    """HTTP messages on a connection; what to do with them is a subclass's."""

    parser: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)


# ── the model server ─────────────────────────────────────────────────────────────────────────


class Upstream(Exchanges):
    """300 bytes at once, or `{"stream": true, "events": n, "rate": per second, 0 for as fast as they are taken}`."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.loop = asyncio.get_running_loop()
        self.body = b""
        self.writable = asyncio.Event()
        self.writable.set()
        self.task: asyncio.Task[None] | None = None

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        if b'"stream"' not in body:
            self.transport.write(ANSWER)
            return
        wish = json.loads(body)
        self.transport.write(STREAM_HEAD)
        if wish["rate"]:
            self.tick(0, wish["events"], 1 / wish["rate"], self.loop.time())
        else:
            self.task = self.loop.create_task(self.flood(wish["events"]))

    def tick(self, number: int, events: int, period: float, due: float) -> None:
        if self.transport.is_closing():
            return
        if number == events:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(b"%x\r\n%b\r\n" % (EVENT_SIZE, event(number)))
        self.loop.call_at(due + period, self.tick, number + 1, events, period, due + period)

    async def flood(self, events: int) -> None:
        for number in range(events):
            self.transport.write(b"%x\r\n%b\r\n" % (EVENT_SIZE, event(number)))
            if number % 7 == 0:  # so that reads end anywhere in an event
                await asyncio.sleep(0)
                await self.writable.wait()
        self.transport.write(b"0\r\n\r\n")

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


# ── a bare relay in an ASGI application, with two clients ────────────────────────────────────


class BareClient(Exchanges):
    """As little of an HTTP client as can read an answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.loop = asyncio.get_running_loop()

    def ask(self, body: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.ended = False
        self.waiter: asyncio.Future[None] | None = None
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)

    async def more(self) -> bytes:
        if not self.pieces and not self.ended:
            self.waiter = self.loop.create_future()
            await self.waiter
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        if self.waiter is not None and not self.waiter.done() and (self.pieces or self.ended):
            self.waiter.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name != b"transfer-encoding":
            self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.ended = True


async def read(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    return body


def bare_asgi(port: int) -> Any:
    idle: list[BareClient] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read(receive)
        loop = asyncio.get_running_loop()
        client = idle.pop() if idle else (await loop.create_connection(BareClient, "127.0.0.1", port))[1]
        client.ask(body)
        data = await client.more()
        await send({"type": "http.response.start", "status": 200, "headers": client.headers})
        while not client.ended:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            data = await client.more()
        await send({"type": "http.response.body", "body": data, "more_body": False})
        idle.append(client)

    return app


def with_aiohttp(port: int) -> Any:
    import aiohttp

    sessions: list[aiohttp.ClientSession] = []
    url = f"http://127.0.0.1:{port}/"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read(receive)
        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        async with sessions[0].post(url, data=body, headers={"content-type": "application/json"}) as answer:
            headers = [(b"content-type", answer.headers["content-type"].encode())]
            if "content-length" in answer.headers:
                headers.append((b"content-length", answer.headers["content-length"].encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


# ── a raw relay, without an HTTP server's rules ──────────────────────────────────────────────


class RawClient(Exchanges):
    """Hands the answer's bytes on as they are, and parses them only to know where they end."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if self.server.transport.is_closing():
            self.transport.abort()
            return
        self.server.transport.write(data)
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.server.idle.append(self)

    server: "RawServer"


class RawServer(Exchanges):
    def __init__(self, port: int, idle: list[RawClient]) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.port, self.idle = port, idle
        self.body = b""
        self.task: asyncio.Task[None] | None = None

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.idle:
            self.ask(self.idle.pop())
        else:
            self.task = asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self.ask((await loop.create_connection(RawClient, "127.0.0.1", self.port))[1])

    def ask(self, client: RawClient) -> None:
        client.server = self
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        client.transport.write(head % len(self.body) + self.body)
        self.body = b""


# ── the gateway ──────────────────────────────────────────────────────────────────────────────


def gateway(port: int) -> tuple[Any, Any]:
    """The application and the protocol, as the service builds them: token, several slots and aliases, metrics."""
    targets, metrics, relay = Targets("active-llm"), Metrics(), Relay()
    shortcut = Shortcut(targets, relay, observe=metrics.gateway, observe_http=metrics.request)
    for number, slot in enumerate(("active-llm", "embedder", "coder")):
        names = (MODEL, "gpt-4o-mini") if slot == "active-llm" else (f"{slot}-alias",)
        targets.open(
            Target(slot, f"http://127.0.0.1:{port}", "a-key", f"served-{number}", f"model-{number}", names)
        )
    app = application(
        [route for noun in NOUNS for route in noun.ROUTES], version="0",
        auth=Auth(Keyring(TOKEN), loopback=False), closing=asyncio.Event(),
        others=routes(targets, relay, observe=metrics.gateway, shortcut=shortcut), observe=metrics.request,
    )  # fmt: skip
    return app, bounded(shortcut=shortcut)


# ── processes ────────────────────────────────────────────────────────────────────────────────


async def serve_asgi(app: Any, listener: socket.socket, protocol: Any) -> None:
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_level="warning", access_log=False,
        server_header=False, proxy_headers=False,
    )  # fmt: skip
    await uvicorn.Server(config).serve(sockets=[listener])


async def serve_protocol(factory: Callable[[], asyncio.Protocol], listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(factory, sock=listener)
    await server.serve_forever()


async def run(name: str, listener: socket.socket, port: int) -> None:
    if name == "upstream":
        await serve_protocol(Upstream, listener)
    elif name == "raw asyncio relay":
        idle: list[RawClient] = []
        await serve_protocol(lambda: RawServer(port, idle), listener)
    elif name == "bare ASGI relay":
        await serve_asgi(bare_asgi(port), listener, "httptools")
    elif name == "aiohttp in ASGI":
        await serve_asgi(with_aiohttp(port), listener, "httptools")
    else:
        app, protocol = gateway(port)
        await serve_asgi(app, listener, protocol)


def process(name: str, core: int, listener: socket.socket, port: int) -> None:
    """One server until it is killed, on one core."""
    os.sched_setaffinity(0, {core})
    uvloop.run(run(name, listener, port))
