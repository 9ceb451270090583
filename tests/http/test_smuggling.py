"""H4a: bytes in which two readers could see two different requests."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_manager.http.connections import Limits
from tests.http.echo import HOST, LAST, Server, echoing, problem
from tests.http.oracle import CHUNKED, GOOD, MORE_SPACES, PIECES, POST, as_h11_reads

REFUSED = {
    "length and chunks": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\naaaaaa",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\naaaaa",
    "two lengths in one": POST + b"Content-Length: 5, 6\r\n\r\naaaaaa",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked once and then not": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded header": POST + b"X: a\r\n b\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space before the first header": b"GET /a HTTP/1.1\r\n " + HOST + b"\r\n",
    "bare LF after the line": b"GET /a HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF after a header": b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\n\r\n",
    "bare LF at the end": b"GET /a HTTP/1.1\r\n" + HOST + b"\n",
    "bare CR": b"GET /a HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n",
    "NUL": POST + b"X: a\0b\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "chunk size with a space": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "chunk size with _": CHUNKED + b"1_0\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n",
    "chunk size that is none": CHUNKED + b"\r\na\r\n0\r\n\r\n",
    "chunk size without an end": CHUNKED + b"f" * 17 + b"\r\na",
    "chunk longer than its size (CVE-2025-43859)": CHUNKED + b"1\r\naXX0\r\n\r\n",
    "bare LF after a chunk size": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "bare LF after a chunk": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "bare LF in a chunk extension": CHUNKED + b"1;x\na\r\n0\r\n\r\n",
    "folded trailer": CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "another host in the target": b"GET http://elsewhere/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "no path in the target": b"CONNECT elsewhere:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method of small letters": b"get /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes beyond ASCII in the target": b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303"),
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
async def test_h4a_it_is_refused_and_the_connection_ends(request_: bytes) -> None:
    async with echoing() as server:
        problem(await server.say(request_ + LAST), 400, "invalid_request")
        assert not server.echo.asked


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"xchunked", b"chunked;q=1"])
async def test_h4a_a_coding_that_is_not_understood_is_not_guessed_at(coding: bytes) -> None:
    async with echoing() as server:
        answer = await server.say(POST + b"Transfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding + LAST)
        problem(answer, 501, "coding_not_supported")
        assert not server.echo.asked


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
async def test_h4a_other_versions_are_not_spoken(version: bytes) -> None:
    async with echoing() as server:
        answer = await server.say(b"GET /a HTTP/%b\r\n%b\r\n" % (version, HOST))
        assert answer.startswith((b"HTTP/1.1 505 ", b"HTTP/1.1 400 "))
        assert not server.echo.asked


async def test_h4a_a_trailer_does_not_become_a_header() -> None:
    trailers = b"Authorization: Bearer x\r\nHost: elsewhere\r\n"
    async with echoing() as server:
        assert (await server.say(CHUNKED + b"1\r\na\r\n0\r\n" + trailers + b"\r\n" + LAST)).count(
            b" 200 OK"
        ) == 2
        assert server.echo.headers[0] == [(b"host", b"127.0.0.1"), (b"transfer-encoding", b"chunked")]


async def test_h4a_a_broken_body_of_an_answered_request_ends_the_connection() -> None:
    """Its answer stands, and what comes behind the bad chunk is nothing."""
    async with echoing() as server:
        peer = await server.peer(CHUNKED + b"1\r\na\r\n")
        await asyncio.sleep(0.02)
        peer.send(b"zz\r\n" + LAST)
        problem(await peer.end(), 400, "invalid_request")
        await server.say(LAST)
        assert server.echo.asked == [(b"GET", b"/last", b"")]


# -- against h11 ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[asyncio.Runner, Server]]:
    with asyncio.Runner() as runner:
        # Where a trailer swallows the last request, the server only waits for another one.
        context = echoing(Limits(head_seconds=0.1, body_seconds=0.1, idle_seconds=0.1, look_seconds=0.02))
        server = runner.run(context.__aenter__())
        yield runner, server
        runner.run(context.__aexit__(None, None, None))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A few good requests in a row, with a few pieces put in, taken out or written over."""
    data = b"".join(draw(st.lists(st.sampled_from(GOOD), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from(PIECES) | st.just(b""))
        data = data[:at] + piece + data[at + draw(st.integers(0, 4)) :]
    return data


async def test_h4a_good_requests_in_a_row_are_read_as_h11_reads_them() -> None:
    data = b"".join(GOOD) + LAST
    async with echoing() as server:
        await server.say(data)
        assert server.echo.asked == as_h11_reads(data)
        assert len(server.echo.asked) == len(GOOD) + 1


@pytest.mark.parametrize("line", [b"GET   /last HTTP/1.1", b"GET /last   HTTP/1.1"], ids=["before", "behind"])
async def test_h4a_spaces_beside_a_target_do_not_become_a_part_of_it(line: bytes) -> None:
    assert MORE_SPACES.search(line), "else it is compared with h11, which refuses it"
    async with echoing() as server:
        await server.say(line + b"\r\n" + HOST + b"\r\n" + LAST)
        assert server.echo.asked == [(b"GET", b"/last", b"")] * 2


@settings(max_examples=150, deadline=None, database=None)
@given(data=streams(), cut=st.integers(0, 400))
@example(data=POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", cut=0)
@example(data=CHUNKED + b"3\r\nabcXX0\r\n\r\n", cut=40)
@example(data=GOOD[3].removesuffix(b"\r\n\r\n"), cut=0)
@example(data=POST + b"Content-Length: 3\r\n\r\nabcGET /a  HTTP/1.1\r\n" + HOST + b"\r\n", cut=0)
def test_h4a_what_h11_refuses_is_refused_and_the_rest_read_alike(
    live: tuple[asyncio.Runner, Server], data: bytes, cut: int
) -> None:
    runner, server = live
    server.echo.asked.clear()
    data += LAST
    if MORE_SPACES.search(data):
        return

    async def ask() -> None:
        peer = await server.peer(data[:cut])
        peer.send(data[cut:])
        await peer.end()

    runner.run(ask())
    assert server.echo.asked == as_h11_reads(data)[: len(server.echo.asked)]
