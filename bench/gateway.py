"""Requests a second through the gateway, against the barest relay that can be written, in the same run.

    python -m bench.gateway [--seconds 2] [--connections 32] [--rounds 3]

Three processes: a scripted model server that answers 300 bytes at once, one uvicorn worker that serves both
the gateway and the bare relay, and this one, which asks. The bare relay knows no headers, deadlines, limits,
cancelling or JSON: what is above it is the price of those. Rounds alternate, so that both meet the same machine.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import httptools
import uvicorn
import uvloop

from bench.figures import Figure, figure, report
from model_manager.gateway import Target, routes
from model_manager.http.application import application
from model_manager.relay import Relay

BODY = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "hello " * 20}]}).encode()
ANSWER_BODY = json.dumps({"choices": [{"message": {"content": "word " * 50}}]}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER_BODY)


class Exchanges(asyncio.Protocol):
    """Counts whole HTTP messages on a connection; what to do at the end of one is a subclass's."""

    parser: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)


class Upstream(Exchanges):
    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)

    def on_message_complete(self) -> None:
        self.transport.write(ANSWER + ANSWER_BODY)


class BareClient(Exchanges):
    """The relay without everything that makes it one."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_body(self, body: bytes) -> None:
        self.body = body

    def on_message_complete(self) -> None:
        self.done.set_result(self.body)

    def ask(self, body: bytes) -> asyncio.Future[bytes]:
        self.done = asyncio.get_running_loop().create_future()
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)
        return self.done


class BareRelay:
    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[BareClient] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        loop = asyncio.get_running_loop()
        client = (
            self.idle.pop()
            if self.idle
            else (await loop.create_connection(BareClient, "127.0.0.1", self.port))[1]
        )
        answer = await client.ask(body)
        self.idle.append(client)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})


class OneSlot:
    def __init__(self, port: int) -> None:
        self.target = Target("active-llm", f"http://127.0.0.1:{port}", "a-key", "demo")

    def find(self, model: str | None) -> Target:
        return self.target

    def models(self) -> list[dict[str, Any]]:
        return []

    def lease(self, target: Target) -> Any:
        return nullcontext()


class Load(Exchanges):
    """Asks again as soon as it is answered."""

    def __init__(self, path: str, counts: list[int]) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.counts = counts
        fields = f"host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        head = f"POST {path} HTTP/1.1\r\n{fields}"
        self.request = head.encode() + BODY

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.write(self.request)

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() != 200:
            self.transport.abort()  # the rate of a server that refuses is none
            return
        self.counts[0] += 1
        self.transport.write(self.request)


def upstream_process(listener: socket.socket) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, sock=listener)
        await server.serve_forever()

    uvloop.run(serve())


def gateway_process(listener: socket.socket, upstream_port: int) -> None:
    async def serve() -> None:
        gateway = application(
            (), version="0", token=None, reads_open=True, closing=asyncio.Event(),
            others=routes(OneSlot(upstream_port), Relay()),
        )  # fmt: skip
        bare = BareRelay(upstream_port)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (bare if scope["path"] == "/bare" else gateway)(scope, receive, send)

        config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False)
        await uvicorn.Server(config).serve(sockets=[listener])

    uvloop.run(serve())


@asynccontextmanager
async def servers() -> AsyncIterator[int]:
    context = multiprocessing.get_context("fork")
    upstream, gateway = (socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2))
    processes = [
        context.Process(target=upstream_process, args=(upstream,), daemon=True),
        context.Process(target=gateway_process, args=(gateway, upstream.getsockname()[1]), daemon=True),
    ]
    for process in processes:
        process.start()
    try:
        yield gateway.getsockname()[1]
    finally:
        for process in reversed(processes):
            process.kill()
            process.join()


async def rate(port: int, path: str, connections: int, seconds: float) -> float:
    counts, loop = [0], asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Load(path, counts), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds / 4)  # until connections and code are warm
    before, started = counts[0], time.perf_counter()
    await asyncio.sleep(seconds)
    result = (counts[0] - before) / (time.perf_counter() - started)
    if not counts[0] > before >= 0:
        raise SystemExit(f"{path} did not answer 200")
    for client in clients:
        client.abort()
    return result


async def measure(connections: int, seconds: float, rounds: int) -> Figure:
    rates: dict[str, list[float]] = {"/bare": [], "/v1/chat/completions": []}
    async with servers() as port:
        for _ in range(rounds):
            for path, results in rates.items():
                results.append(await rate(port, path, connections, seconds))
    return figure(
        "requests through the gateway", "1/s", rates["/v1/chat/completions"], rates["/bare"],
        reference_name="the barest relay", at_least=True, facts={"connections": connections},
    )  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--seconds", type=float, default=2.0)
    flags.add_argument("--connections", type=int, default=32)
    flags.add_argument("--rounds", type=int, default=3)
    options = flags.parse_args()
    report([uvloop.run(measure(options.connections, options.seconds, options.rounds))])


if __name__ == "__main__":
    main()
