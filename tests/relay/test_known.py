"""Answers whose head was seen before, past the parser: read as the parser and h11 read them."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_manager.relay.known import HEAD_BYTES, cut, is_sound
from tests.relay import wire
from tests.relay.test_parsing import cuts, mutation
from tests.relay.wire import Read, h11_reads, sliced

Reads = Callable[[list[bytes], bytes], Read | str]

HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: %d\r\nX-Length: 9\r\n\r\n"

OTHER = b"HTTP/1.1 200 OK\r\nX-Length: %d\r\nContent-Length: 1\r\n\r\n"


@pytest.fixture(scope="module")
def reads_after() -> Iterator[Reads]:
    """`wire.relay_reads` of a connection that has carried another answer before."""
    with asyncio.Runner() as runner:
        yield lambda pieces, before: runner.run(wire.relay_reads(pieces, before=before))


def headers_of(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip()) for name, _, value in pairs]


def test_what_is_cut_out_is_the_length() -> None:
    data = HEAD % 12 + b"twelve bytes"
    assert cut(data) == (HEAD[:-4].replace(b"%d", b""), len(data) - 12, 12)
    assert is_sound(HEAD[:-4].replace(b"%d", b""), headers_of(data))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"ength: ", HEAD[:-2] % 1, HEAD.replace(b"%d", b""), HEAD.replace(b"%d", b"-1"),
        HEAD.replace(b"%d", b"+1"), HEAD.replace(b"%d", b"01"), HEAD.replace(b"%d", b"1_0"), HEAD.replace(b"%d", b" 1"),
        HEAD.replace(b"%d", b"1 "), HEAD.replace(b"%d", b"1, 1"), HEAD.replace(b"%d", b"\xb2"),
        HEAD.replace(b"%d", b"12345678"), HEAD.replace(b"b", b"b" * HEAD_BYTES) % 1,
    ],
)  # fmt: skip
def test_there_is_nothing_to_cut(data: bytes) -> None:
    assert cut(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nX-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nX-Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST /?ength: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nUpgrade: h2c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nA: b\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nA: b\rc\r\nContent-Length: 1\r\n\r\n",
    ],
)
def test_other_digits_would_mean_something_else(data: bytes) -> None:
    found = cut(data)
    assert found is not None
    assert not is_sound(found[0], headers_of(data))


def test_a_head_is_all_of_what_is_cut() -> None:
    length = (b"content-length", b"40")
    for data in (
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:40\r\n\r\n\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n",
    ):
        found = cut(data)
        assert found is not None
        assert not is_sound(found[0], [length])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    body = draw(st.binary(max_size=60))
    head = draw(st.sampled_from([HEAD, HEAD.replace(b"200", b"404"), HEAD.replace(b"200", b"204")]))
    return head % len(body) + body


@settings(max_examples=300, deadline=None)
@given(before=answers(), data=answers(), mutations=st.lists(mutation, max_size=2), cuts=cuts)
@example(before=HEAD % 1 + b"x", data=HEAD % 2 + b"xyz", mutations=[], cuts=[])
@example(before=HEAD % 1 + b"x", data=HEAD % 3 + b"x", mutations=[], cuts=[])
@example(before=OTHER % 1 + b"x", data=OTHER % 2 + b"xy", mutations=[], cuts=[])
def test_what_was_read_before_changes_nothing(
    reads_after: Reads, before: bytes, data: bytes, mutations: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    for place, removed, inserted in mutations:
        place %= len(data) + 1
        data = data[:place] + inserted + data[place + removed :]
    pieces = sliced(data, cuts)
    ours = reads_after(pieces, before)
    assert ours == reads_after(pieces, b"")
    if isinstance(ours, Read) and isinstance(theirs := h11_reads(data), Read):
        assert (ours.status, ours.body) == (theirs.status, theirs.body)
