"""Event streams over a real connection."""

import asyncio
import time
from collections.abc import AsyncGenerator

import httpx2

from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.connections import Connections
from model_manager.http.routing import Route
from model_manager.http.sse import EventStream, Message
from model_manager.tokens import Keyring
from tests.http.echo import QUICK
from tests.http.live import serving
from tests.waiting import until

Client = httpx2.AsyncClient


def test_a_message_on_the_wire() -> None:
    assert Message({"a": 1}, id=7).encode() == b'id: 7\ndata: {"a":1}\n\n'
    assert Message({"a": "x\ny"}, event="progress").encode() == b'event: progress\ndata: {"a":"x\\ny"}\n\n'
    assert Message(id=7).encode() == b"id: 7\n\n"


async def test_w17_headers_tell_proxies_to_pass_it_on(client: Client) -> None:
    async with client.stream("GET", "/stream?limit=1") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-length" not in response.headers
        assert response.headers["x-request-id"]


async def test_w17_messages_then_heartbeats(client: Client) -> None:
    got = b""
    async with client.stream("GET", "/stream?limit=2") as response:
        async for data in response.aiter_bytes():
            got += data
            if got.count(b":\n\n") == 3:
                break
    retry, first, second, *beats = got.removesuffix(b"\n\n").split(b"\n\n")
    line = 'data: {"line":"a\\nb\u2028c"}'.encode()  # only CR and LF end a line of an event stream
    assert retry == b"retry: 2000"
    assert first == b"id: 0\nevent: line\n" + line
    assert second == b"id: 1\nevent: line\n" + line
    assert beats == [b":"] * 3


async def test_head_of_a_stream_ends(client: Client) -> None:
    response = await client.head("/stream")
    assert (response.status_code, response.content) == (200, b"")


async def test_streams_end_promptly_when_the_service_stops(client: Client, closing: asyncio.Event) -> None:
    async with client.stream("GET", "/stream?limit=1") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        started = time.monotonic()
        closing.set()
        async for _ in lines:  # ends without an error: the response was completed
            pass
    assert time.monotonic() - started < 1


class Source:
    """Messages without an end, and whether anyone still listens."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent = 0
        self.ended = asyncio.Event()

    async def messages(self) -> AsyncGenerator[Message, None]:
        try:
            while True:
                self.sent += 1
                yield Message("x" * self.size)
                await asyncio.sleep(0)
        finally:
            self.ended.set()

    def app(self):  # type: ignore[no-untyped-def]
        async def stream(_: None) -> EventStream:
            return EventStream(self.messages())

        return application(
            [Route("GET", "/stream", stream)],
            version="1",
            auth=Auth(Keyring(), loopback=True),
            closing=asyncio.Event(),
        )


async def test_w8_a_client_that_leaves_ends_its_source() -> None:
    source = Source(10)
    async with serving(source.app()) as client:
        async with client.stream("GET", "/stream"):
            await until(lambda: source.sent > 3)
        await asyncio.wait_for(source.ended.wait(), 2)


async def test_w16_a_client_that_reads_nothing_is_cut_and_costs_little() -> None:
    source = Source(100_000)
    async with serving(source.app(), Connections(QUICK)) as client:
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await asyncio.wait_for(source.ended.wait(), 10)
        assert source.sent < 300  # what the kernel's buffers hold, not what the source could have made
        writer.transport.abort()
