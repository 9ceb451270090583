"""Heads, bodies and silence without measure, from clients that showed no token yet."""

import asyncio
import resource
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from model_manager.http.protocol import BODY_PIECE, MAX_AHEAD, MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from tests.http.echo import GET, HOST, LAST, QUICK, Echo, echoing, problem
from tests.http.live import serving
from tests.waiting import until

START = b"GET /a HTTP/1.1\r\n" + HOST
CHUNKED = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"

TOO_LARGE = {
    "one long header": START + b"X: " + b"a" * 2**20 + b"\r\n\r\n",
    "many headers": START + b"".join(b"X%d: a\r\n" % number for number in range(10_000)) + b"\r\n",
    "one header too many": START + b"a:b\r\n" * MAX_HEADERS + b"\r\n",
    "much in few headers": START + b"".join(b"X%d: %b\r\n" % (n, b"a" * 8000) for n in range(20)) + b"\r\n",
}


@pytest.mark.parametrize("request_", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_h2a_a_head_without_measure_is_refused(request_: bytes) -> None:
    async with echoing() as server:
        found = problem(await server.say(request_), 431, "head_too_large")
        assert str(MAX_HEADERS) in found["detail"]
        assert not server.echo.asked


async def test_h2a_as_many_headers_as_are_allowed_pass() -> None:
    async with echoing() as server:
        answer = await server.say(START + b"a:b\r\n" * (MAX_HEADERS - 2) + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_h2a_a_target_without_measure_is_refused() -> None:
    async with echoing() as server:
        for size in (MAX_TARGET_BYTES + 1, 100_000):
            answer = await server.say(b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * size, HOST))
            problem(answer, 414, "target_too_long")
        longest = b"GET /%b HTTP/1.0\r\n\r\n" % (b"a" * (MAX_TARGET_BYTES - 1))
        assert (await server.say(longest)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (START + b"X: ", b"a" * 4096),
        (START, b"a:b\r\n" * 800),
        (b"GET /", b"a" * 4096),
        (CHUNKED + b"0\r\nX: ", b"a" * 4096),
        (CHUNKED + b"0\r\n", b"a:b\r\n" * 800),
        (CHUNKED + b"1;", b"a" * 4096),
    ],
    ids=["header", "headers", "line", "trailer", "trailers", "chunk extension"],
)
async def test_h2a_what_never_ends_is_cut_off(start: bytes, piece: bytes) -> None:
    async with echoing() as server:
        peer = await server.peer(start)
        sent = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                while sent < 256 * MAX_HEAD_BYTES:
                    peer.send(piece)
                    sent += len(piece)
                    await peer.writer.drain()
                    await asyncio.sleep(0)
        assert sent < 256 * MAX_HEAD_BYTES
        assert not server.echo.asked


async def test_h2a_many_requests_on_one_connection_are_each_measured() -> None:
    one = START + b"".join(b"X%d: a\r\n" % n for n in range(MAX_HEADERS - 1)) + b"\r\n"
    async with echoing() as server:
        answers = await server.say(one * 200 + LAST)
        assert answers.count(b"HTTP/1.1 200 ") == 201


async def test_h2a_requests_sent_ahead_are_bounded() -> None:
    """Eighteen bytes of request cost us some kilobytes."""
    async with echoing() as server:
        server.echo.held.clear()
        peer = await server.peer(GET * (2 * MAX_AHEAD))
        await asyncio.sleep(0)
        server.echo.held.set()
        await peer.end()
        assert len(server.echo.asked) <= MAX_AHEAD + 2


async def test_h1a_a_body_costs_no_more_memory_than_a_buffer() -> None:
    """100 MB to an application that does not read: back-pressure, not a heap."""
    app = Echo()
    read = asyncio.Event()

    async def slow(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await read.wait()
        await app(scope, receive, send)

    async with serving(slow) as client:
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writer.write(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000000\r\n\r\n")
        piece, sent = b"a" * (1 << 20), 0
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 100:
                    writer.write(piece)
                    sent += 1
                    await writer.drain()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        writer.transport.abort()
        read.set()
        await until(lambda: app.left)
    assert sent < 20
    assert grown < 20 * 1024, f"{grown} KiB"  # of which this test itself holds some pieces


async def test_h1a_an_answer_that_waits_for_no_body_reaches_a_client_that_still_sends_it() -> None:
    """The rest of a small body is read over, and the connection goes on; that of an endless one ends it."""

    async def hasty(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(hasty) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        for _ in range(2):
            writer.write(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
            writer.write(b"a" * 100_000)
        writer.write(CHUNKED)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 64 << 20:
                writer.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")
                sent += 65536
                await writer.drain()
        assert sent < 64 << 20
        writer.transport.abort()


LENGTHS = ("-1", "1e3", "0x10", "+5", "5, 5", "99999999999999999999999", "", "five")


@pytest.mark.parametrize("length", LENGTHS)
async def test_h1a_a_length_that_is_none_is_refused(length: str) -> None:
    async with echoing() as server:
        request = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: " + length.encode() + b"\r\n\r\nabcde"
        problem(await server.say(request), 400, "invalid_request")
        assert not server.echo.asked


@pytest.mark.parametrize(
    "beginning", [b"G", b"GET /a HTTP/1.1\r\n", START + b"X: ", b"\r\n\r\nGET"], ids=repr
)
async def test_h3a_half_a_head_is_waited_for_a_while(beginning: bytes) -> None:
    async with echoing(QUICK._replace(body_seconds=60, idle_seconds=60)) as server:
        problem(await server.say(beginning), 408, "request_timeout")


async def test_h3a_a_head_byte_by_byte_is_no_way_around() -> None:
    async with echoing(QUICK) as server:
        peer = await server.peer(START + b"X: ")
        ended = asyncio.create_task(peer.end())
        while not ended.done():
            peer.send(b"a")
            await asyncio.wait({ended}, timeout=0.05)
        problem(ended.result(), 408, "request_timeout")


async def test_h3a_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with echoing(QUICK) as server:
        assert await server.say(b"") == b""
        peer = await server.peer(GET)  # and so is one that has nothing more to say
        await peer.answer()
        assert await peer.end() == b""
        await until(lambda: server.connections.count == 0)


async def test_h3a_a_second_request_has_its_own_time() -> None:
    async with echoing(QUICK._replace(idle_seconds=60)) as server:
        peer = await server.peer(GET)
        await peer.answer()
        peer.send(b"GET /b HTT")
        problem(await peer.end(), 408, "request_timeout")


async def test_h3a_a_body_must_come_on() -> None:
    async with echoing(QUICK._replace(head_seconds=60)) as server:
        post = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n"
        problem(await server.say(post + b"a" * 1000), 408, "request_timeout")
        assert not server.echo.asked
        await until(lambda: server.echo.left == 1)  # the application was told, and waits no more

        peer = await server.peer(post)
        ended = asyncio.create_task(peer.end())
        while not ended.done():  # a byte now and then is not enough
            peer.send(b"a")
            await asyncio.wait({ended}, timeout=0.05)
        problem(ended.result(), 408, "request_timeout")


async def test_h3a_a_body_that_comes_steadily_may_take_its_time() -> None:
    size = 12 * BODY_PIECE
    async with echoing(QUICK) as server:
        peer = await server.peer(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(12):
            peer.send(b"a" * BODY_PIECE)
            await asyncio.sleep(0.1)
        assert (await peer.answer()).startswith(b"HTTP/1.1 200 ")
        assert len(server.echo.asked[0][2]) == size


async def test_h3a_a_client_that_waits_for_us_is_not_blamed() -> None:
    async with echoing(QUICK) as server:
        server.echo.held.clear()
        peer = await server.peer(GET)
        with pytest.raises(TimeoutError):
            await peer.answer(1.0)
        server.echo.held.set()
        assert (await peer.answer()).startswith(b"HTTP/1.1 200 ")


async def test_h3a_a_client_that_does_not_read_is_cut_off() -> None:
    async with echoing(QUICK._replace(idle_seconds=60), answer=b"a" * (8 << 20)) as server:
        peer = await server.peer(GET, buffer=4096)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: server.echo.asked)
        await until(lambda: server.connections.count == 0)


async def test_h3a_a_thousand_slow_clients_do_not_hold_up_the_good_ones() -> None:
    """p99 of the good ones within 250 ms, while a thousand heads come byte by byte, and all of those end."""
    async with echoing(QUICK._replace(head_seconds=1.5)) as server:
        slow = [await server.peer(START + b"X: ") for _ in range(1000)]
        peer = await server.peer()
        loop, times = asyncio.get_running_loop(), []
        for number in range(100):
            for one in slow[number % 10 :: 10]:
                one.send(b"a")
            started = loop.time()
            peer.send(GET)
            await peer.answer()
            times.append(loop.time() - started)
        assert sorted(times)[98] < 0.25
        await until(lambda: server.connections.count <= 1, 10)


async def test_h4a_what_is_refused_behind_a_good_request_does_not_become_its_answer() -> None:
    async with echoing() as server:
        server.echo.held.clear()
        peer = await server.peer(GET + b"NONSENSE\r\n\r\n" + GET)
        await asyncio.sleep(0.05)
        server.echo.held.set()
        answer = await peer.end()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert server.echo.asked == [(b"GET", b"/a", b"")]


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"", b""),
        (b"Content-Length: 2\r\n", b"hi"),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nhi\r\n0\r\n\r\n"),
    ],
)
async def test_an_offer_to_upgrade_is_ignored(framing: bytes, body: bytes, at_once: bool) -> None:
    """curl --http2 makes one, and Java's HttpClient, with a body behind it."""
    head = b"POST /a HTTP/1.1\r\n" + HOST + UPGRADE + framing + b"\r\n"
    async with echoing() as server:
        peer = await server.peer(head)
        if not at_once:
            await asyncio.sleep(0.02)
        peer.send(body + head + body + LAST)
        assert (await peer.end()).count(b"HTTP/1.1 200 ") == 3
        posted = (b"POST", b"/a", b"hi" if body else b"")
        assert server.echo.asked == [posted, posted, (b"GET", b"/last", b"")]


async def test_w8_who_leaves_with_requests_sent_ahead_is_missed_by_the_first_of_them() -> None:
    left = asyncio.Event()

    async def listening(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with serving(listening) as client:
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(GET * 3)
        await writer.drain()
        writer.close()
        async with asyncio.timeout(5):
            await left.wait()


async def test_c4_a_server_that_stops_answers_who_had_just_connected() -> None:
    """Its request is on the way: a service that hands over to another one must not lose it."""
    async with echoing() as server:
        peer = await server.peer()
        await until(lambda: server.connections.count == 1)
        (connection,) = server.connections._watched
        connection.shutdown()
        await asyncio.sleep(0)
        peer.send(GET)
        answer = await peer.answer()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer.lower(), "the next request goes to another one at once"
        assert await peer.end() == b""
