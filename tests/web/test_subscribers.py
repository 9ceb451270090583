"""W16: five hundred readers of the live feed, on raw sockets."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.house import House, house_settings, open_house, write_catalog
from tests.waiting import until

IDS = re.compile(rb"^id: (\d+)$", re.MULTILINE)


class Reader(asyncio.Protocol):
    """Keeps the ids of what it gets, after the one that says where its stream begins, and counts gap notices."""

    def __init__(self, after: int | None = None) -> None:
        self._resume = b"" if after is None else b"Last-Event-ID: %d\r\n" % after
        self._rest = b""
        self.ids: list[int] = []
        self.gaps = 0
        self.ended = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        head = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        transport.write(head + self._resume + b"\r\n")

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for message in whole:
            self.ids += map(int, IDS.findall(message))
            self.gaps += b"event: gap" in message

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True


async def subscribe(house: House, after: int | None = None, *, buffer: int | None = None) -> Reader:
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", int(house.service.url.rpartition(":")[2])))
    _, reader = await loop.create_connection(lambda: Reader(after), sock=connection)
    await until(lambda: reader.ids)
    return reader


async def append(house: House, count: int, size: int = 1) -> int:
    """`count` events in one commit; the id of the last."""
    events = house.parts.events
    return await house.parts.database.write(
        lambda txn: [events.append(txn, "said", "thing", {"text": "x" * size}) for _ in range(count)][-1]
    )


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[House]:
    write_catalog(folder / "catalog", {"demo": "llama-cpp"})
    async with open_house(house_settings(folder)) as house:
        yield house


async def test_w16_five_hundred_readers_get_everything_though_some_leave_and_one_stalls(
    tmp_path: Path,
) -> None:
    async with service(tmp_path) as house:
        readers = await asyncio.gather(*(subscribe(house) for _ in range(500)))
        stalled = await subscribe(house, buffer=4096)
        stalled.transport.pause_reading()
        begin = readers[0].ids[0]
        for turn in range(4):
            for leaving in readers[turn * 25 : turn * 25 + 25]:
                leaving.transport.abort()
            last = await append(house, 25)
            staying = readers[turn * 25 + 25 :]
            await until(lambda last=last, staying=staying: all(one.ids[-1] == last for one in staying))
        for one in readers[100:]:
            assert one.ids == list(range(begin, last + 1))
            assert (one.gaps, one.ended) == (0, False)
        await until(lambda: house.parts.events.subscribers == 401)
        for one in readers:
            one.transport.abort()

        last = await append(house, 2000, size=2000)  # more than all buffers on its way hold
        stalled.transport.resume_reading()
        await until(lambda: stalled.ids[-1] == last, 20)
        assert stalled.ids == list(range(begin, last + 1))
        assert stalled.gaps
        stalled.transport.abort()


async def test_w16_ids_hold_over_a_restart(tmp_path: Path) -> None:
    async with service(tmp_path) as house:
        reader = await subscribe(house)
        await append(house, 3)
        await until(lambda: len(reader.ids) == 4)
        seen = reader.ids[-2]
    assert reader.ended  # the service said goodbye, instead of waiting for its readers
    async with service(tmp_path) as house:
        reader = await subscribe(house, after=seen)
        last = await append(house, 1)
        await until(lambda: reader.ids[-1] == last)
        assert reader.ids == list(range(seen, last + 1))
        reader.transport.abort()
