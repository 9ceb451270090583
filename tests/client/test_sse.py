"""Server-sent events, as they come over the wire."""

import pytest

from model_manager.client.sse import Message, messages

CASES = {
    "one": (b"data: a\n\n", [Message("message", "a")]),
    "crlf": (b"data: a\r\n\r\n", [Message("message", "a")]),
    "no space": (b"data:a\n\n", [Message("message", "a")]),
    "two lines of data": (b"data: a\ndata: b\n\n", [Message("message", "a\nb")]),
    "named, with an id": (b"id: 7\nevent: e\ndata: a\n\n", [Message("e", "a", "7")]),
    "a heartbeat between": (b": hi\n\ndata: a\n\n", [Message("message", "a")]),
    "the id stays": (
        b"id: 7\ndata: a\n\ndata: b\n\n",
        [Message("message", "a", "7"), Message("message", "b", "7")],
    ),
    "the name does not": (b"event: e\ndata: a\n\ndata: b\n\n", [Message("e", "a"), Message("message", "b")]),
    "an id alone": (b"id: 7\n\ndata: a\n\n", [Message("message", "", "7"), Message("message", "a", "7")]),
    "an event without data": (b"event: e\n\n", []),
    "cut off": (b"data: a\n\ndata: b\n", [Message("message", "a")]),
    "unknown fields": (b"retry: 5\nfoo: bar\ndata: a\n\n", [Message("message", "a")]),
    "w12 a broken character": (b"data: \xff\n\n", [Message("message", "\ufffd")]),
    "w12 a long line": (b"data: " + b"x" * 1_000_000 + b"\n\n", [Message("message", "x" * 1_000_000)]),
}


@pytest.mark.parametrize("name", CASES)
def test_messages(name: str) -> None:
    wire, expected = CASES[name]
    assert list(messages(wire.splitlines(keepends=True))) == expected
