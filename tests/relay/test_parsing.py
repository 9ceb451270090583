"""Odd but legal answers are understood, illegal ones refused, in whatever pieces they come; h11 is the oracle."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay import wire
from tests.relay.wire import Read, h11_reads, sliced

Reads = Callable[..., Read | str]


@pytest.fixture(scope="module")
def relay_reads() -> Iterator[Reads]:
    """`wire.relay_reads` on one loop for all the examples."""
    with asyncio.Runner() as runner:
        yield lambda pieces, method="GET": runner.run(wire.relay_reads(pieces, method))


LEGAL = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
    "empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, b""),
    "until the connection ends": (b"HTTP/1.1 200 OK\r\n\r\nabc", 200, b"abc"),
    "until the end, empty": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 200, b""),
    "HTTP/1.0": (b"HTTP/1.0 404 -\r\nA: b\r\n\r\nabc", 404, b"abc"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        200,
        b"abc",
    ),
    "chunk extensions, upper case and zeros": (
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n00A;x=y;z="q"\r\n0123456789\r\n000\r\n\r\n',
        200,
        b"0123456789",
    ),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
        200,
        b"abc",
    ),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        200,
        b"abc",
    ),
    "204 has no body": (b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", 204, b""),
    "304 has no body in spite of its length": (b"HTTP/1.1 304 -\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "an upgrade nobody asked for": (
        b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
        200,
        b"abc",
    ),
    "bytes beyond ASCII in a header": (
        b"HTTP/1.1 200 OK\r\nA: \xc3\xa4\r\nContent-Length: 0\r\n\r\n",
        200,
        b"",
    ),
}

ILLEGAL = {
    "nothing": (b"", "without an answer"),
    "within the head": (b"HTTP/1.1 200 OK\r\nContent-Le", "within its answer's head"),
    "shorter than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", "after 3 bytes"),
    "within a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "after 3 bytes"),
    "no last chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "after 3 bytes"),
    "only an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", "within its answer's head"),
    "length and chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "does not speak HTTP/1.1",
    ),
    "chunked and length": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "does not speak HTTP/1.1",
    ),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "does not speak HTTP/1.1",
    ),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", "does not speak HTTP/1.1"),
    "endless length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
        "does not speak HTTP/1.1",
    ),
    "another coding": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "transfer coding",
    ),
    "a coding alone": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", "transfer coding"),
    "a chunk size that is none": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "does not speak HTTP/1.1",
    ),
    "a chunk longer than said": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "does not speak HTTP/1.1",
    ),
    "another protocol": (b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc", "HTTP/1.1"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "does not speak HTTP/1.1"),
    "status 999": (b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", "does not speak HTTP/1.1"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP/1.1"),
    "a folded header": (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "does not speak HTTP/1.1"),
    "a space before the colon": (b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc", "does not speak"),
    "a NUL in a header": (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "does not speak HTTP/1.1"),
    "a header without end": (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "64 KiB"),
    "headers of 70 KB": (b"HTTP/1.1 200 OK\r\n" + b"Aaaaaa: %s\r\n" % (b"b" * 700) * 100 + b"\r\n", "64 KiB"),
    "257 headers": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 257 + b"\r\n", "256 fields"),
    "interim answers without end": (b"HTTP/1.1 100 -\r\n\r\n" * 5000, "64 KiB"),
    "a chunk extension without end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;" + b"x" * 90_000,
        "64 KiB",
    ),
    "trailers without end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 300,
        "256 fields",
    ),
}


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize("name", LEGAL)
def test_legal_answers(name: str, relay_reads: Reads) -> None:
    data, status, body = LEGAL[name]
    whole = relay_reads([data])
    assert isinstance(whole, Read), whole
    assert (whole.status, whole.body) == (status, body)
    assert relay_reads(byte_by_byte(data)) == whole
    assert h11_reads(data) == whole


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_answers(name: str, relay_reads: Reads) -> None:
    data, reason = ILLEGAL[name]
    as_sockets_do = sliced(data, list(range(0, len(data), 16_384))) if data else []
    whole = relay_reads(as_sockets_do)
    assert isinstance(whole, str)
    assert reason in whole
    if len(data) < 1000:
        assert isinstance(relay_reads(byte_by_byte(data)), str)


def test_an_answer_to_head_has_no_body(relay_reads: Reads) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert relay_reads([data], "HEAD") == Read(200, [(b"content-length", b"3")], b"")


token = st.text("abcXYZ019-_.!", min_size=1, max_size=8).map(lambda name: b"x" + name.encode())
value = st.text('abc ;,="\t\u00e4', max_size=12).map(lambda text: text.strip().encode())
header = st.tuples(token, value)
body = st.binary(max_size=60)


@st.composite
def legal_answer(draw: st.DrawFn) -> bytes:
    """Any framing the RFC allows a server, written as oddly as it allows."""
    interim = b"HTTP/1.1 %d Go on\r\n\r\n" % draw(st.sampled_from([100, 102, 103]))
    head = interim * draw(st.integers(0, 2))
    head += b"HTTP/1.1 %d %s\r\n" % (
        draw(st.sampled_from([200, 201, 302, 404, 500])),
        draw(st.sampled_from([b"OK", b"", b"a b"])),
    )
    fields = [
        b"%s:%s%s\r\n" % (name, draw(st.sampled_from([b"", b" ", b"\t "])), text)
        for name, text in draw(st.lists(header, max_size=4))
    ]
    content = draw(body)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        fields.insert(draw(st.integers(0, len(fields))), b"Content-Length: %d\r\n" % len(content))
    elif framing == "chunked":
        fields.insert(draw(st.integers(0, len(fields))), b"Transfer-Encoding: chunked\r\n")
        content = draw(chunked(content))
    return head + b"".join(fields) + b"\r\n" + content


@st.composite
def chunked(draw: st.DrawFn, content: bytes) -> bytes:
    pieces = [piece for piece in sliced(content, draw(st.lists(st.integers(0, 100), max_size=4))) if piece]
    chunks = [
        b"%s%x%s\r\n%s\r\n"
        % (b"0" * draw(st.integers(0, 3)), len(piece), draw(st.sampled_from([b"", b";a=b", b";q"])), piece)
        for piece in pieces
    ]
    trailers = [b"%s: %s\r\n" % pair for pair in draw(st.lists(header, max_size=2))]
    return b"".join(chunks) + b"0\r\n" + b"".join(trailers) + b"\r\n"


cuts = st.lists(st.integers(0, 2000), max_size=8)


@settings(max_examples=200, deadline=None)
@given(data=legal_answer(), cuts=cuts)
def test_what_is_legal_is_read_as_h11_reads_it(relay_reads: Reads, data: bytes, cuts: list[int]) -> None:
    expected = h11_reads(data)
    assert isinstance(expected, Read)
    assert relay_reads(sliced(data, cuts)) == expected


mutation = st.tuples(
    st.integers(0, 2000),
    st.integers(0, 3),
    st.sampled_from(
        [
            b"",
            b"\r\n",
            b"\n",
            b"\0",
            b"0",
            b" ",
            b":",
            b"\xff",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
        ]
    ),
)


HARMLESS = (
    "illegal status line",  # a control character in the reason, which nobody passes on
    "no response line received",  # an empty line before a message, which RFC 9112 §2.2 lets a reader skip
)
"""What h11 refuses and the relay need not."""


@settings(max_examples=300, deadline=None)
@given(data=legal_answer(), mutations=st.lists(mutation, min_size=1, max_size=3), cuts=cuts)
def test_what_is_broken_is_refused_or_read_as_h11_reads_it(
    relay_reads: Reads, data: bytes, mutations: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    for place, removed, inserted in mutations:
        place %= len(data) + 1
        data = data[:place] + inserted + data[place + removed :]
    ours = relay_reads(sliced(data, cuts))
    if isinstance(ours, Read):
        theirs = h11_reads(data)
        if isinstance(theirs, Read):
            assert (ours.status, ours.body) == (theirs.status, theirs.body)
        else:
            assert theirs.startswith(HARMLESS), (ours, theirs)
