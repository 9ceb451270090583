"""What leaves by an outlet, as h11 reads it: framed here, whatever the pieces are."""

import asyncio
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.http.outlet import Outlet


class Wire:
    """uvicorn's cycle, and the transport below it, as far as an outlet knows them."""

    def __init__(self, keep_alive: bool = True) -> None:
        self.transport = self.flow = self
        self.default_headers = [(b"date", b"Tue, 24 Nov 2026 08:00:00 GMT")]
        self.keep_alive = keep_alive
        self.message_event = asyncio.Event()
        self.write_paused = self.disconnected = self.response_started = self.response_complete = False
        self.sent = b""
        self.closed = False
        self.answered = 0

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def on_response(self) -> None:
        self.answered += 1


def outlet_on(wire: Wire) -> Outlet:
    cycle: Any = wire
    return Outlet(cycle)


def read(data: bytes) -> tuple[h11.Response, bytes, bool]:
    """(head, body, whether it came to its end), by h11."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    head, body = None, b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) or event is h11.NEED_DATA:
            assert head is not None
            return head, body, event is not h11.NEED_DATA


PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


@given(first=st.binary(max_size=300), pieces=PIECES, counted=st.booleans(), ends=st.booleans())
@settings(deadline=None)
def test_h11_reads_what_was_written(first: bytes, pieces: list[bytes], counted: bool, ends: bool) -> None:
    wire, body = Wire(), first + b"".join(pieces)
    outlet = outlet_on(wire)
    outlet.begin(200, [(b"x-kept", b"\xe4 b")], len(body) if counted else None, first)
    for piece in pieces:
        outlet.write(piece)
    if ends:
        outlet.end()
    head, seen, ended = read(wire.sent)
    assert (head.status_code, seen) == (200, body)
    assert (b"x-kept", b"\xe4 b") in head.headers
    assert wire.answered == ends
    if not counted:
        assert ended is ends  # what is not ended here is not read as whole there
    assert not wire.closed


@pytest.mark.parametrize("value", [b"a\r\nx-other: b", b"a\nb", b"a\rb", b"a\0b"])
@pytest.mark.parametrize("where", ["name", "value"])
def test_w14_no_header_begins_another_one(value: bytes, where: str) -> None:
    wire = Wire()
    pair = (b"x-a", value) if where == "value" else (value, b"x")
    with pytest.raises(ValueError, match="line break"):
        outlet_on(wire).begin(200, [pair], 2, b"ok")
    assert wire.sent == b""
    assert not wire.response_started


def test_a_connection_that_is_not_kept_says_so_and_is_closed_at_the_end() -> None:
    wire = Wire(keep_alive=False)
    outlet = outlet_on(wire)
    outlet.begin(200, [], 2, b"ok")
    assert not wire.closed
    outlet.end()
    assert wire.closed
    assert b"\r\nconnection: close\r\n" in wire.sent


@pytest.mark.parametrize("status", [204, 304])
def test_what_has_no_body_has_no_length(status: int) -> None:
    wire = Wire()
    outlet_on(wire).begin(status, [], 0, b"")
    assert b"content-length" not in wire.sent


def test_w9_pressure_is_told_of_also_when_it_was_there_before() -> None:
    wire, told = Wire(), list[str]()
    outlet = outlet_on(wire)
    wire.write_paused = True
    outlet.on_pressure(lambda: told.append("pause"), lambda: told.append("resume"))
    outlet.resumed()
    outlet.paused()
    assert told == ["pause", "resume", "pause"]


def test_w8_who_leaves_is_told_of_until_the_end() -> None:
    wire, told = Wire(), list[str]()
    outlet = outlet_on(wire)
    outlet.on_gone(lambda: told.append("gone"))
    outlet.lost()
    outlet.begin(200, [], 2, b"ok")
    outlet.end()
    outlet.lost()
    assert told == ["gone"]
