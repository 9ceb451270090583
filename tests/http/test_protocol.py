"""Heads without measure, from clients that showed no token yet."""

import asyncio

import httpx2
import pytest

from model_manager.http.protocol import MAX_HEAD_BYTES
from tests.http.live import raw

Client = httpx2.AsyncClient
START = b"GET /things HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
CHUNKED = b"POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"

TOO_LARGE = {
    "one long header": START + b"X: " + b"a" * 2**20 + b"\r\n\r\n",
    "many headers": START + b"".join(b"X%d: a\r\n" % number for number in range(10_000)) + b"\r\n",
    "many short headers": START + b"a:b\r\n" * 300 + b"\r\n",
    "much in few headers": START + b"".join(b"X%d: %b\r\n" % (n, b"a" * 8000) for n in range(20)) + b"\r\n",
}


@pytest.mark.parametrize("request_", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_h2a_a_head_without_measure_is_refused(client: Client, request_: bytes) -> None:
    try:
        assert (await raw(client, request_)).startswith(b"HTTP/1.1 431 ")
    except ConnectionResetError:
        assert len(request_) > 2 * MAX_HEAD_BYTES  # the rest was on its way when the connection was closed


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
async def test_h2a_what_never_ends_is_cut_off(client: Client, start: bytes, piece: bytes) -> None:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    sent = 0
    try:
        writer.write(start)
        async with asyncio.timeout(10):
            while not reader.at_eof() and sent < 16 * MAX_HEAD_BYTES:
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
                await asyncio.sleep(0)
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert sent < 16 * MAX_HEAD_BYTES


async def test_a_large_body_is_no_large_head(client: Client) -> None:
    padding = " " * (4 * MAX_HEAD_BYTES)
    headers = {"authorization": "Bearer s3cret-of-the-tests"}
    for _ in range(3):  # on one connection
        answer = await client.post("/notes", content=f'{{"text": "x"{padding}}}', headers=headers)
        assert answer.json()["name"] == "x"


async def test_many_requests_on_one_connection_are_each_measured(client: Client) -> None:
    one = (
        b"GET /things HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        + b"".join(b"X%d: a\r\n" % n for n in range(100))
        + b"\r\n"
    )
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = await raw(client, one * 200 + last)
    assert answers.count(b"HTTP/1.1 200 ") == 201
