"""Requests whose head was seen before, past the parser: read as h11 reads them, and within the same limits."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.http.connections import Limits
from model_manager.http.shortcut import Client, head_seen
from tests.http.echo import HOST, LAST, QUICK, Asked, Peer, Server, echoing, problem
from tests.http.oracle import GOOD, MORE_SPACES, PIECES, POST, as_h11_reads
from tests.relay.wire import sliced
from tests.waiting import until

KNOWN = POST + b"Content-Length: %d\r\nX-Length: 9\r\n\r\n"
START = re.compile(rb"POST |GET |HEAD ")
CLOSING = b"POST /b HTTP/1.1\r\n" + HOST + b"content-length: %d\r\nConnection: close\r\n\r\n"


class Remembering:
    """Lets every head in that the application saw; answers as `Echo` does, or hands on what it took."""

    def __init__(self, asked: list[Asked]) -> None:
        self.asked = asked
        self.heads: dict[tuple[str, bytes], Remembered] = {}
        self.taken = 0
        self.held = False
        """Whether it leaves what it takes without an answer."""
        self.hands_on = False
        self.left = 0
        self.client: Any = None
        """The last one whose request it took: the protocol."""

    def known(self, host: str, data: bytes) -> "Remembered | None":
        return self.heads.get((host, data))

    def learn(self, scope: Scope) -> None:
        head = head_seen(scope)
        if head is not None:
            asked = scope["method"].encode(), scope["raw_path"]
            self.heads[head.host, head.data] = Remembered(self, asked, head.keep_alive)


class Remembered:
    def __init__(self, shortcut: Remembering, asked: tuple[bytes, bytes], keep_alive: bool) -> None:
        self.shortcut, self.asked, self.keep_alive = shortcut, asked, keep_alive

    def take(self, body: bytes, client: Client) -> "Taken":
        self.shortcut.taken += 1
        self.shortcut.client = client
        return Taken(self, body, client)


class Taken:
    def __init__(self, known: Remembered, body: bytes, client: Client) -> None:
        self.known, self.body, self.client = known, body, client
        loop, shortcut = asyncio.get_running_loop(), known.shortcut
        self.soon = loop.call_soon(self.hand_over if shortcut.hands_on else self.answer)

    def answer(self) -> None:
        shortcut = self.known.shortcut
        if not shortcut.held:
            shortcut.asked.append((*self.known.asked, self.body))
            self.client.answer(b"", b"ok", keep_alive=self.known.keep_alive)

    def hand_over(self) -> None:
        self.soon.cancel()
        self.client.go_on(self.usual_way)

    def gone(self) -> None:
        self.soon.cancel()
        self.known.shortcut.left += 1

    async def usual_way(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)


@asynccontextmanager
async def remembering(limits: Limits | None = None) -> Any:
    shortcut = Remembering([])
    async with echoing(limits, shortcut=shortcut) as server:
        shortcut.asked = server.echo.asked
        server.echo.saw = shortcut.learn
        yield server, shortcut


@asynccontextmanager
async def knowing(limits: Limits | None = None) -> Any:
    """(server, shortcut, a client whose next KNOWN takes the short way)."""
    async with remembering(limits) as (server, shortcut):
        peer = await server.peer(KNOWN % 3 + b"one")
        await peer.answer()
        yield server, shortcut, peer


async def test_what_is_known_is_answered_without_the_application() -> None:
    async with knowing() as (server, shortcut, peer):
        for body in (b"", b"two", b"x" * 10_000):
            peer.send(KNOWN % len(body) + body)
            assert (await peer.answer()).endswith(b"\r\ncontent-length: 2\r\n\r\nok")
            assert server.echo.asked[-1] == (b"POST", b"/a", body)
        assert shortcut.taken == 3


async def test_a_body_that_comes_after_its_head_is_waited_for() -> None:
    async with knowing() as (server, shortcut, peer):
        peer.send(KNOWN % 3)
        await asyncio.sleep(0.02)
        peer.send(b"two")
        await peer.answer()
        assert shortcut.taken == 1
        for piece in (KNOWN % 4, b"th", b"re"):  # but no longer than that: the parser is made for it
            peer.send(piece)
            await asyncio.sleep(0.02)
        await peer.answer()
        assert shortcut.taken == 1
        assert [body for _, _, body in server.echo.asked] == [b"one", b"two", b"thre"]


async def test_who_asks_for_it_is_hung_up_on() -> None:
    async with remembering() as (server, shortcut):
        for number in range(2):
            answer = await server.say(CLOSING % 1 + b"x")
            assert b"\r\nconnection: close\r\n" in answer
            assert shortcut.taken == number


@pytest.mark.parametrize("hands_on", [False, True])
async def test_what_is_sent_ahead_is_answered_in_its_order(hands_on: bool) -> None:
    async with knowing() as (server, shortcut, peer):
        shortcut.held = not hands_on
        shortcut.hands_on = hands_on
        peer.send(KNOWN % 3 + b"two")
        await until(lambda: shortcut.taken == 1)
        peer.send(KNOWN % 5 + b"three" + LAST)
        assert (await peer.end()).count(b" 200 OK") == 3
        assert [body for _, _, body in server.echo.asked] == [b"one", b"two", b"three", b""]


async def test_n11_a_known_head_whose_body_does_not_come_is_not_waited_for_longer() -> None:
    async with knowing(QUICK) as (server, shortcut, peer):
        peer.send(KNOWN % 3 + b"t")
        problem(await peer.end(2), 408, "request_timeout")
        assert shortcut.taken == 0
        assert len(server.echo.asked) == 1


async def test_a_silent_connection_is_closed_after_an_answer_of_the_short_way() -> None:
    async with knowing(QUICK) as (_, shortcut, peer):
        peer.send(KNOWN % 3 + b"two")
        await peer.answer()
        assert shortcut.taken == 1
        assert await peer.end(2) == b""


async def test_a_slow_answer_has_no_deadline_of_the_client_s() -> None:
    async with knowing(QUICK) as (_, shortcut, peer):
        shortcut.held = True
        peer.send(KNOWN % 3 + b"two")
        with pytest.raises(TimeoutError):
            await peer.answer(1)
        assert shortcut.left == 0


async def test_who_leaves_is_told_of() -> None:
    async with knowing() as (server, shortcut, peer):
        shortcut.held = True
        peer.send(KNOWN % 3 + b"two")
        await until(lambda: shortcut.taken == 1)
        peer.abort()
        await until(lambda: shortcut.left == 1)
        other = await server.peer(KNOWN % 3 + b"t")  # and to the application, if the body was not whole
        await asyncio.sleep(0.02)
        other.abort()
        await until(lambda: server.echo.left == 1)
        await until(lambda: server.connections.count == 0)


async def test_a_server_that_stops_answers_what_it_took() -> None:
    async with knowing() as (server, shortcut, peer):
        shortcut.held = True
        peer.send(KNOWN % 3 + b"two")
        await until(lambda: shortcut.taken == 1)
        shortcut.client.shutdown()
        assert b"\r\nconnection: close\r\n" in await peer.end()
        assert server.echo.asked[-1] == (b"POST", b"/a", b"two")


@pytest.mark.parametrize(
    "head",
    [
        POST + b"X-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        POST + b"Content-Length:1\r\n\r\nx",
        POST + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
        POST + b"Content-Length: 1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nx",
        b"\r\n" + POST + b"Content-Length: 1\r\n\r\nx",
        (POST + b"Content-Length: 1\r\n\r\nx").replace(b"1.1", b"1.0"),
        POST + b"Transfer-Encoding: chunked\r\n\r\n20\r\n\r\nContent-Length: 9\r\n\r\n         \r\n0\r\n\r\n",
    ],
    ids=[
        "other length",
        "no space",
        "expect",
        "upgrade",
        "an empty line",
        "HTTP/1.0",
        "a length in the body",
    ],
)
async def test_heads_that_are_never_known(head: bytes) -> None:
    async with remembering() as (server, shortcut):
        peer = await server.peer(head)
        await until(lambda: len(server.echo.headers) == 1)
        peer.abort()
        assert not shortcut.heads


# -- against h11 ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[asyncio.Runner, Server, Remembering]]:
    with asyncio.Runner() as runner:
        # Where a trailer swallows the last request, the server only waits for another one.
        context = remembering(Limits(head_seconds=0.1, body_seconds=0.1, idle_seconds=0.1, look_seconds=0.02))
        server, shortcut = runner.run(context.__aenter__())
        for head in (KNOWN, CLOSING, *HEADS):
            runner.run(server.say((head + b"%b") % (1, b"x") + LAST))
        yield runner, server, shortcut
        assert shortcut.taken > 10  # or it was not put to the test
        runner.run(context.__aexit__(None, None, None))


HEADS = [POST + b"Content-Length: %d\r\n\r\n", POST + b"A: b\r\ncontent-length: %d\r\nC: d\r\n\r\n"]


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A few requests in a row, most with a known head, with a few pieces put in, taken out or written over."""
    data = b""
    for _ in range(draw(st.integers(1, 4))):
        body = draw(st.binary(max_size=30) | st.just(GOOD[0]))
        known = draw(st.sampled_from([KNOWN, *HEADS])) % len(body) + body
        data += draw(st.just(known) | st.sampled_from(GOOD))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from(PIECES) | st.just(b""))
        data = data[:at] + piece + data[at + draw(st.integers(0, 4)) :]
    return data


@settings(max_examples=250, deadline=None, database=None)
@given(
    data=streams(), cuts=st.lists(st.integers(0, 600), max_size=4), each=st.booleans(), hands_on=st.booleans()
)
@example(data=HEADS[0] % 3 + b"abc" + HEADS[0] % 2 + b"de", cuts=[67], each=False, hands_on=False)
@example(data=HEADS[0] % 3 + b"abcd", cuts=[], each=True, hands_on=False)
@example(data=GOOD[3].removesuffix(b"\r\n\r\n"), cuts=[], each=False, hands_on=False)
@example(data=HEADS[0] % 0 + b"\r\n" + HEADS[0] % 1 + b"x", cuts=[64], each=True, hands_on=True)
def test_h4a_what_takes_the_short_way_is_what_h11_reads(
    live: tuple[asyncio.Runner, Server, Remembering], data: bytes, cuts: list[int], each: bool, hands_on: bool
) -> None:
    runner, server, shortcut = live
    server.echo.asked.clear()
    shortcut.hands_on = hands_on
    data += LAST
    if MORE_SPACES.search(data):
        return
    starts = [match.start() for match in START.finditer(data)] if each else []
    pieces = sliced(data, cuts + starts)

    async def ask() -> bytes:
        peer: Peer = await server.peer()
        for piece in pieces:
            peer.send(piece)
            for _ in range(4):  # so that the server reads this piece alone, and often answers before the next
                await asyncio.sleep(0)
        return await peer.end()

    answers = runner.run(ask())
    expected = as_h11_reads(data)
    assert server.echo.asked == expected[: len(server.echo.asked)]
    if answers:  # else they were lost with the connection
        assert answers.count(b"HTTP/1.1 200 OK\r\n") <= len(server.echo.asked)
