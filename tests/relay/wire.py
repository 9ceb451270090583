"""Bytes through the relay's parser without a network, and through h11, which is the oracle."""

import asyncio
from itertools import pairwise
from typing import NamedTuple

import h11

from model_manager.errors import UpstreamError
from model_manager.relay.connection import Connection
from model_manager.relay.head import Origin, end_to_end
from model_manager.relay.response import Response


class Read(NamedTuple):
    """A complete answer as a reader understood it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Wire(asyncio.Transport):
    """A transport that only remembers whether it was closed."""

    closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


async def relay_reads(pieces: list[bytes], method: str = "GET", before: bytes = b"") -> Read | str:
    """What the relay makes of an answer in these pieces with the connection's end behind, or why it refuses.

    `before` is an answer that the connection has carried already, if it was kept after that.
    """
    connection = Connection(Origin("server", 80), lambda _: None, lambda _: None)
    wire = _Wire()
    connection.connection_made(wire)
    if before:
        connection.begin(Response(connection, 1.0, 1.0), "POST")
        connection.data_received(before)
        if wire.closed:
            return await relay_reads(pieces, method)
    response = Response(connection, 1.0, 1.0)
    connection.begin(response, method)
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
    connection.connection_lost(None)
    try:
        await response.wait_for_head()
        body = b"".join([chunk async for chunk in response])
    except UpstreamError as error:
        return error.sentence
    return Read(response.status, response.headers, body)


def h11_reads(data: bytes, method: str = "GET") -> Read | str:
    """The same answer as h11 understands it."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "server")]))
    connection.send(h11.EndOfMessage())
    status, headers, body = 0, [], b""
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status, headers = event.status_code, end_to_end(event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Read(status, headers, body)
            elif isinstance(event, h11.ConnectionClosed) or event in (h11.NEED_DATA, h11.PAUSED):
                return "incomplete"
    except h11.RemoteProtocolError as error:
        return str(error)


def sliced(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces that end at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]
