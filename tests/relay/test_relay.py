"""The relay against a real server on a real port: connections, deadlines, breaks and back-pressure."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from model_manager.errors import UpstreamError, UpstreamTimeout
from model_manager.relay import Relay, client
from model_manager.relay.client import KEEP_COUNT, KEEP_SECONDS
from model_manager.relay.response import HIGH_WATER
from tests.relay.upstream import OK, Peer, Upstream, answering, ever
from tests.waiting import until


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    relay = Relay()
    yield relay
    await relay.aclose()


async def ask(relay: Relay, url: str, method: str = "GET", **options: Any) -> tuple[int, bytes]:
    async with await relay.request(method, url, **options) as response:
        return response.status, await response.read(1 << 24)


# ── connections ──────────────────────────────────────────────────────────────────────────────


async def test_a_connection_is_used_again(relay: Relay) -> None:
    async with Upstream() as upstream:
        for _ in range(3):
            assert await ask(relay, upstream.url + "/x?y", "POST", body=b"hello") == (200, b"ok")
        assert upstream.connections == 1
        assert [asked.body for asked in upstream.requests] == [b"hello"] * 3
        assert upstream.requests[0].line == b"POST /x?y HTTP/1.1"


async def test_requests_at_once_have_a_connection_each(relay: Relay) -> None:
    async with Upstream() as upstream:
        await asyncio.gather(*(ask(relay, upstream.url) for _ in range(5)))
        assert upstream.connections == 5
        await asyncio.gather(*(ask(relay, upstream.url) for _ in range(5)))
        assert upstream.connections == 5


async def test_a_burst_leaves_no_more_connections_than_are_kept(relay: Relay) -> None:
    async def together(peer: Peer) -> None:
        await peer.request()
        await until(lambda: upstream.connections == KEEP_COUNT + 5)
        await peer.send(OK)
        await peer.client_left()

    async with Upstream(together) as upstream:
        await asyncio.gather(*(ask(relay, upstream.url) for _ in range(KEEP_COUNT + 5)))
        await until(lambda: upstream.left == 5)


async def test_an_unused_connection_is_closed_before_the_server_would(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "KEEP_SECONDS", 0.05)

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.client_left()

    async with Upstream(talk) as upstream:
        assert await ask(relay, upstream.url) == (200, b"ok")
        await until(lambda: upstream.left == 1)
        assert await ask(relay, upstream.url) == (200, b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + OK,  # the second answer must never become that of the next request
        OK + b"junk",
    ],
)
async def test_a_connection_in_doubt_is_not_used_again(relay: Relay, answer: bytes) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.client_left()

    async with Upstream(talk) as upstream:
        for _ in range(2):
            assert await ask(relay, upstream.url) == (200, b"ok")
        assert upstream.connections == 2
        await until(lambda: upstream.left == 2, timeout=KEEP_SECONDS / 2)


async def test_an_answer_nobody_asked_for_closes_the_connection(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await late.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await peer.client_left()

    late = asyncio.Event()
    async with Upstream(talk) as upstream:
        assert await ask(relay, upstream.url) == (200, b"ok")
        late.set()
        await until(lambda: upstream.left == 1, timeout=KEEP_SECONDS / 2)
        assert await ask(relay, upstream.url) == (200, b"ok")


async def test_head_has_no_body_and_its_connection_is_not_used_again(relay: Relay) -> None:
    async with Upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as upstream:
        assert await ask(relay, upstream.url, "HEAD") == (200, b"")
        assert await ask(relay, upstream.url, "HEAD") == (200, b"")


async def test_a_get_on_a_connection_the_server_just_closed_is_asked_again_once(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()  # and closes instead of answering

    async with Upstream(talk) as upstream:
        assert await ask(relay, upstream.url) == (200, b"ok")
        assert await ask(relay, upstream.url) == (200, b"ok")
        assert (upstream.connections, len(upstream.requests)) == (2, 3)


async def test_w6_a_post_is_never_sent_twice(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()

    async with Upstream(talk) as upstream:
        assert await ask(relay, upstream.url) == (200, b"ok")
        with pytest.raises(UpstreamError, match="closed the connection without an answer"):
            await ask(relay, upstream.url, "POST", body=b"x")
        assert len(upstream.requests) == 2


async def test_a_get_is_not_asked_again_on_a_fresh_connection_or_after_a_byte(relay: Relay) -> None:
    async with Upstream(answering(b"")) as upstream:
        with pytest.raises(UpstreamError, match="without an answer"):
            await ask(relay, upstream.url)
        assert len(upstream.requests) == 1
    async with Upstream(answering(OK, b"HTTP/1.1 ")) as upstream:
        await ask(relay, upstream.url)
        with pytest.raises(UpstreamError, match="within its answer's head"):
            await ask(relay, upstream.url)
        assert len(upstream.requests) == 2


async def test_a_post_after_the_server_closed_the_kept_connection_goes_out_on_a_fresh_one(
    relay: Relay,
) -> None:
    async with Upstream(answering(OK)) as upstream:
        for _ in range(20):  # the end may still wait in the socket, unread, when the next request comes
            assert await ask(relay, upstream.url, "POST", body=b"x") == (200, b"ok")
        assert upstream.connections == len(upstream.requests) == 20


async def test_w11_the_pool_heals_when_the_server_is_back(relay: Relay) -> None:
    async with Upstream() as upstream:
        await asyncio.gather(*(ask(relay, upstream.url) for _ in range(20)))
        port = upstream.port
    for _ in range(20):
        with pytest.raises(UpstreamError, match=r"Connection refused|without an answer"):
            await ask(relay, f"http://127.0.0.1:{port}", "POST")
    async with Upstream(port=port):
        assert await ask(relay, f"http://127.0.0.1:{port}", "POST") == (200, b"ok")


async def test_a_server_that_is_not_there(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamError) as caught:
        await ask(relay, f"http://127.0.0.1:{port}/v1")
    assert caught.value.sentence == f"cannot connect to http://127.0.0.1:{port}: Connection refused"
    assert caught.value.hint


async def test_a_name_that_does_not_resolve(relay: Relay) -> None:
    with pytest.raises(UpstreamError, match=r"cannot connect to http://nowhere\.invalid:80"):
        await ask(relay, "http://nowhere.invalid/")


async def test_closing_ends_requests_in_flight_and_refuses_new_ones() -> None:
    relay = Relay()
    async with Upstream(Peer.client_left) as upstream:
        waiting = asyncio.create_task(ask(relay, upstream.url))
        await until(lambda: upstream.connections == 1)
        await relay.aclose()
        with pytest.raises(UpstreamError, match="stopping"):
            await waiting
        with pytest.raises(UpstreamError, match="stopping"):
            await ask(relay, upstream.url)
        await until(lambda: upstream.left == 1)


# ── headers ──────────────────────────────────────────────────────────────────────────────────


async def test_w14_headers_of_one_connection_do_not_cross(relay: Relay) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Transfer-Encoding: chunked\r\nX-End: 2\r\n\r\n0\r\n\r\n"
    )
    given = [(b"Connection", b"X-Mine"), (b"X-Mine", b"1"), (b"TE", b"trailers"), (b"X-End", b"3")]
    async with Upstream(answering(answer)) as upstream:
        async with await relay.request("GET", upstream.url, headers=given) as response:
            assert response.headers == [(b"x-end", b"2")]
        assert upstream.requests[0].headers == [
            (b"host", upstream.url.removeprefix("http://").encode()),
            (b"x-end", b"3"),
        ]


async def test_w14_redirects_are_not_followed(relay: Relay) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with Upstream(answering(answer)) as upstream:
        assert await ask(relay, upstream.url) == (302, b"")
        assert len(upstream.requests) == 1


async def test_the_length_is_told_where_the_server_declared_it(relay: Relay) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with Upstream(answering(OK, chunked)) as upstream:
        async with await relay.request("GET", upstream.url) as response:
            assert response.length == 2
            await response.read(10)
        async with await relay.request("GET", upstream.url) as response:
            assert response.length is None


# ── deadlines ────────────────────────────────────────────────────────────────────────────────


async def test_w10_a_server_that_hangs_before_its_answer(relay: Relay) -> None:
    async with Upstream(Peer.client_left) as upstream, Upstream() as other:
        hanging = asyncio.create_task(ask(relay, upstream.url, first_byte_timeout=0.3))
        await until(lambda: upstream.connections == 1)
        assert await ask(relay, other.url) == (200, b"ok")  # others are not held up
        with pytest.raises(UpstreamTimeout, match=r"did not answer in 0\.3 s"):
            await hanging
        await until(lambda: upstream.left == 1)


async def test_an_interim_answer_is_not_the_answer(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.client_left()

    async with Upstream(talk) as upstream:
        with pytest.raises(UpstreamTimeout):
            await ask(relay, upstream.url, first_byte_timeout=0.1)


async def test_a_server_that_falls_silent_within_its_answer(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await peer.client_left()

    async with Upstream(talk) as upstream:
        response = await relay.request("GET", upstream.url, idle_timeout=0.1)
        assert await anext(response) == b"abc"
        with pytest.raises(UpstreamTimeout, match=r"sent nothing more for 0\.1 s"):
            await anext(response)
        await until(lambda: upstream.left == 1)


async def test_the_body_s_first_byte_may_take_as_long_as_the_head(relay: Relay) -> None:
    """A server may send its head at once and then read a long prompt."""

    async def talk(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        await asyncio.wait_for(prompt_read.wait(), 10)
        await peer.send(b"abc")

    prompt_read = asyncio.Event()
    async with Upstream(talk) as upstream:
        response = await relay.request("GET", upstream.url, first_byte_timeout=10, idle_timeout=0.01)
        asyncio.get_running_loop().call_later(0.1, prompt_read.set)
        assert await response.read(10) == b"abc"


async def test_a_slow_reader_is_not_the_server_s_silence(relay: Relay) -> None:
    async with Upstream() as upstream:
        response = await relay.request("GET", upstream.url, first_byte_timeout=5, idle_timeout=0.01)
        await until(lambda: response.received == 2)
        await asyncio.sleep(0.05)  # longer than the server may be silent
        assert await response.read(10) == b"ok"


async def test_a_server_that_accepts_no_connection(relay: Relay) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        for _ in range(4):  # until the backlog is full, and the kernel answers no more
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        with pytest.raises(UpstreamTimeout, match=r"did not accept a connection in 0\.2 s"):
            await ask(relay, f"http://127.0.0.1:{address[1]}", connect_timeout=0.2)
        for filler in fillers:
            filler.close()


# ── breaks ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_w5_a_server_that_dies_within_its_answer(relay: Relay, framing: bytes, how: str) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n3\r\nabc\r\n")
        await received.wait()
        if how == "reset":
            peer.reset()

    received = asyncio.Event()
    async with Upstream(talk) as upstream, await relay.request("GET", upstream.url) as response:
        assert b"abc" in await anext(response)
        received.set()
        with pytest.raises(UpstreamError, match="broke off its answer after"):
            await anext(response)
        with pytest.raises(UpstreamError, match="broke off"):  # and does not become an end later
            await anext(response)


async def test_what_arrived_before_the_break_is_given_out_first(relay: Relay) -> None:
    async with Upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")) as upstream:
        response = await relay.request("GET", upstream.url)
        await until(lambda: response._error is not None)
        assert await anext(response) == b"abc"
        with pytest.raises(UpstreamError):
            await anext(response)


async def test_a_reset_does_not_end_a_body_that_ends_with_the_connection(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await received.wait()
        linger = peer.writer.get_extra_info("socket")
        linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close = reset
        peer.reset()

    received = asyncio.Event()
    async with Upstream(talk) as upstream:
        response = await relay.request("GET", upstream.url)
        assert await anext(response) == b"abc"
        received.set()
        with pytest.raises(UpstreamError, match="broke off"):
            await anext(response)


# ── leaving early ────────────────────────────────────────────────────────────────────────────


async def test_w8_a_cancelled_request_closes_its_connection(relay: Relay) -> None:
    async with Upstream(Peer.client_left) as upstream:
        task = asyncio.create_task(ask(relay, upstream.url, "POST", body=b"x"))
        await until(lambda: upstream.connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: upstream.left == 1, timeout=1)


class Endless(Upstream):
    """Sends until the client leaves, and counts the bytes."""

    def __init__(self) -> None:
        super().__init__(self.pour)
        self.sent = 0

    async def pour(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await peer.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
                self.sent += 0x8000
        except ConnectionError:
            self.left += 1


async def test_w8_closing_a_response_before_its_end_closes_the_connection(relay: Relay) -> None:
    async with Endless() as upstream:
        async with await relay.request("GET", upstream.url) as response:
            await anext(response)
        await until(lambda: upstream.left == 1, timeout=1)
        with pytest.raises(UpstreamError, match="closed before its end"):
            async for _ in response:
                pass


async def test_w8_cancelling_while_reading_closes_the_connection(relay: Relay) -> None:
    async def drain() -> None:
        response = await relay.request("GET", upstream.url)
        async for _ in response:
            pass

    async with Endless() as upstream:
        task = asyncio.create_task(drain())
        await until(lambda: upstream.sent > 100_000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: upstream.left == 1, timeout=1)


async def test_a_body_longer_than_wanted_is_not_read_to_its_end(relay: Relay) -> None:
    async with Endless() as upstream:
        response = await relay.request("GET", upstream.url)
        with pytest.raises(UpstreamError, match="more than 100000 bytes"):
            await response.read(100_000)
        await until(lambda: upstream.left == 1)


# ── back-pressure ────────────────────────────────────────────────────────────────────────────


async def at_rest(count: Callable[[], int]) -> int:
    """What it counts, once that has not changed for a while."""
    seen: list[int] = []

    def unchanged() -> bool:
        seen.append(count())
        return len(seen) >= 10 and len(set(seen[-10:])) == 1

    await until(unchanged)
    return seen[-1]


async def test_w9_a_slow_reader_makes_the_server_wait(relay: Relay) -> None:
    async with Endless() as upstream, await relay.request("GET", upstream.url) as response:
        await until(lambda: response.received >= HIGH_WATER)
        sent = await at_rest(lambda: upstream.sent)  # the kernel's buffers are full too
        assert response.received <= HIGH_WATER + 256 * 1024
        total = 0
        while total < sent + 1_000_000:  # and it goes on when the reader does
            total += len(await anext(response))


async def test_an_answer_whose_last_bytes_fill_the_buffer_does_not_leave_the_connection_deaf(
    relay: Relay,
) -> None:
    full = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HIGH_WATER + b"x" * HIGH_WATER
    async with Upstream(answering(full, OK)) as upstream:
        async with await relay.request("GET", upstream.url) as response:
            await until(lambda: response.received == HIGH_WATER)
            assert len(await response.read(HIGH_WATER)) == HIGH_WATER
        assert await ask(relay, upstream.url, first_byte_timeout=2) == (200, b"ok")
        assert upstream.connections == 1


async def test_a_slow_server_makes_the_writer_wait(relay: Relay) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(640):
            taken += 0x8000
            yield b"x" * 0x8000

    async def talk(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert await at_rest(lambda: taken) < 640 * 0x8000
        stalled.set()
        total = len(await peer.chunks())
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%d" % total)

    stalled = asyncio.Event()
    async with Upstream(talk) as upstream:
        assert await ask(relay, upstream.url, "POST", body=body()) == (200, b"20971520")
        assert stalled.is_set()


async def test_an_early_answer_ends_the_sending(relay: Relay) -> None:
    refusal = b"HTTP/1.1 413 -\r\nContent-Length: 3\r\n\r\nbig"

    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(refusal)
        await peer.client_left()

    async with Upstream(talk) as upstream:
        assert await ask(relay, upstream.url, "POST", body=body()) == (413, b"big")
        # Half a request was sent on it: not to be kept
        await until(lambda: upstream.left == 1, timeout=KEEP_SECONDS / 2)


async def test_an_early_answer_frees_a_writer_that_waits(relay: Relay) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 0x40000
            yield b"x" * 0x40000

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await at_rest(lambda: taken)
        await peer.send(b"HTTP/1.1 413 -\r\nContent-Length: 3\r\n\r\nb")
        await asyncio.Event().wait()

    async with Upstream(talk) as upstream:
        response = await relay.request("POST", upstream.url, body=body(), idle_timeout=10)
        assert response.status == 413
        response.close()


async def test_a_server_that_takes_nothing_more_of_a_request(relay: Relay) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 0x40000

    async def talk(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    async with Upstream(talk) as upstream:
        with pytest.raises(UpstreamTimeout, match=r"took no more of the request for 0\.3 s"):
            await ask(relay, upstream.url, "POST", body=body(), idle_timeout=0.3)


async def test_a_body_that_fails_closes_the_connection(relay: Relay) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError("no more")

    async with Upstream(Peer.client_left) as upstream:
        with pytest.raises(RuntimeError, match="no more"):
            await ask(relay, upstream.url, "POST", body=body())
        await until(lambda: upstream.left == 1)


async def test_a_large_body_arrives_whole(relay: Relay) -> None:
    body = bytes(range(256)) * 40_000
    async with Upstream() as upstream:
        assert await ask(relay, upstream.url, "POST", body=body) == (200, b"ok")
        assert upstream.requests[0].body == body


# ── questions ────────────────────────────────────────────────────────────────────────────────


def saying(body: bytes, status: int = 200) -> Upstream:
    return Upstream(answering(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"data": [1]}', {"data": [1]}),
        (503, b'{"error": {"message": "Loading model"}}', {"error": {"message": "Loading model"}}),
        (200, b"", None),
        (200, b"OK", "OK"),
        (500, b"\xff<html>", "\ufffd<html>"),
        (200, b"[" * 100_000, "[" * 100_000),
    ],
)
async def test_json(relay: Relay, status: int, body: bytes, expected: Any) -> None:
    async with saying(body, status) as upstream:
        assert await relay.json("GET", upstream.url) == (status, expected)


async def test_json_sends_the_key_and_the_payload(relay: Relay) -> None:
    async with Upstream(ever) as upstream:
        await relay.json("POST", upstream.url, key="k3y", payload={"a": [1]})
        asked = upstream.requests[0]
        assert asked.header(b"authorization") == b"Bearer k3y"
        assert asked.header(b"content-type") == b"application/json"
        assert asked.body == b'{"a":[1]}'


async def test_json_has_one_deadline_for_everything(relay: Relay) -> None:
    async def talk(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:  # never silent, never done
            await peer.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    async with Upstream(talk) as upstream:
        with pytest.raises(UpstreamTimeout, match=r"did not answer in 0\.2 s"):
            await relay.json("GET", upstream.url, timeout=0.2)


async def test_json_reads_no_more_than_it_was_told(relay: Relay) -> None:
    async with saying(b"x" * 1000) as upstream:
        with pytest.raises(UpstreamError, match="more than 999 bytes"):
            await relay.json("GET", upstream.url, max_bytes=999)


async def test_a_key_with_a_line_break_is_refused_and_not_shown(relay: Relay) -> None:
    with pytest.raises(UpstreamError, match="authorization") as caught:
        await relay.json("GET", "http://127.0.0.1:1/", key="s3cret\r\nX: y")
    assert "s3cret" not in caught.value.sentence
