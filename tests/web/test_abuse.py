"""What a hostile client sends to the whole service, on raw sockets."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.house import House

Client = httpx2.AsyncClient


def resident() -> int:
    """Bytes of this process, which the service runs in."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def pour(house: House, path: str, framing: str, piece: bytes, most: int) -> tuple[bytes, int]:
    """Send pieces until the service has enough of it: its answer, and how many bytes it let come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.service.url.rpartition(":")[2]))
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.service.token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n{framing}\r\n\r\n".encode())
    answer, sent = asyncio.create_task(reader.read(2000)), 0
    with suppress(ConnectionError):
        while not answer.done() and sent < most:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
    try:
        async with asyncio.timeout(10):
            return await answer, sent
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("path", ["/models/activate", "/catalog/preview", "/tokens"])
async def test_h1a_a_body_without_end_is_refused_before_it_is_held(house: House, path: str) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    await pour(house, path, "Transfer-Encoding: chunked", chunk, 4 << 20)
    before = resident()
    answer, sent = await pour(house, path, "Transfer-Encoding: chunked", chunk, 1 << 30)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 16 << 20
    assert resident() - before < 10 << 20


@pytest.mark.parametrize("path", ["/models/activate", "/v1/chat/completions"])
async def test_h1a_a_gigabyte_that_is_announced_is_refused_unread(house: House, path: str) -> None:
    answer, sent = await pour(house, path, "Content-Length: 1073741824", b" " * 65536, 1 << 30)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 16 << 20


async def test_h6a_ranges_cost_nothing(client: Client) -> None:
    """Nothing here is served in ranges, so they are ignored (RFC 9110 §14.2)."""
    ranges = {"range": "bytes=" + ",".join(f"{n}-" for n in range(7000))}
    for path in ("/models", "/docs", "/openapi.json"):
        whole = await client.get(path)
        started = time.perf_counter()
        answer = await client.get(path, headers=ranges)
        assert time.perf_counter() - started < 0.1
        assert (answer.status_code, answer.content) == (200, whole.content)
