"""Both clients against a running service, and against what goes wrong on the way."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from model_manager.client import ApiError, AsyncClient, Client, NotReachable, calls, types
from model_manager.errors import InvalidRequest
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

Ask = Callable[..., Awaitable[Any]]
"""`await ask("list_models")`, whichever client does it."""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    write_catalog(tmp_path / "catalog", {"demo": "well", "broken": "exits"})
    write_runtimes(tmp_path / "runtimes", [runtime("well"), runtime("exits", "exit:3")])
    async with open_house(house_settings(tmp_path)) as house:
        yield house


def asking(kind: str, url: str, token: str | None, **options: Any) -> Ask:
    client, other = Client(url, token, **options), AsyncClient(url, token, **options)

    async def ask(name: str, *arguments: Any, **named: Any) -> Any:
        if kind == "sync":
            return await asyncio.to_thread(lambda: getattr(client, name)(*arguments, **named))
        return await getattr(other, name)(*arguments, **named)

    return ask


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
async def test_from_a_catalog_to_an_active_model(kind: str, house: House) -> None:
    ask = asking(kind, house.service.url, house.service.token)
    assert [model.id for model in await ask("list_models")] == ["broken", "demo"]
    answer = await ask("activate", id="demo", wait=30)
    assert isinstance(answer, types.Activated)
    assert (await ask("get_active")).model_id == "demo"
    assert (await ask("list_slots")).slots[0].serving == "demo"
    assert isinstance(await ask("activate", id="broken"), types.Accepted)
    assert "model_manager_http_requests_total" in await ask("metrics")


@both
async def test_a_refusal_has_the_service_s_words(kind: str, house: House) -> None:
    ask = asking(kind, house.service.url, house.service.token)
    with pytest.raises(ApiError) as refused:
        await ask("get_model", "demmo")
    assert (refused.value.http_status, refused.value.problem_code) == (404, "not_found")
    assert "demo" in refused.value.hint
    with pytest.raises(ApiError) as refused:
        await asking(kind, house.service.url, "wrong")("activate", id="demo")
    assert refused.value.http_status == 401


@both
async def test_events_come_as_they_happen_and_go_on_where_one_left(kind: str, house: House) -> None:
    ask = asking(kind, house.service.url, house.service.token)
    async with asyncio.timeout(20):
        first = await anext(message async for message in _events(kind, house, after=0) if message.data)
        await ask("activate", id="demo", wait=15)
        async for message in _events(kind, house, after=int(first.id)):
            assert int(message.id) > int(first.id) or not message.data
            if '"model_activated"' in message.data:
                break


async def _events(kind: str, house: House, after: int) -> AsyncIterator[Any]:
    if kind == "async":
        async for message in AsyncClient(house.service.url, house.service.token).events(after):
            yield message
        return
    feed = Client(house.service.url, house.service.token).events(after)
    while (message := await asyncio.to_thread(next, feed, None)) is not None:
        yield message


@both
async def test_a_stream_that_is_refused_says_why(kind: str, house: House) -> None:
    call = calls.slot_logs("nowhere")
    with pytest.raises(ApiError, match="no slot"):
        if kind == "sync":
            await asyncio.to_thread(lambda: list(Client(house.service.url, house.service.token).stream(call)))
        else:
            async for _ in AsyncClient(house.service.url, house.service.token).stream(call):
                pass


@contextlib.contextmanager
def answering(data: bytes | None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers each connection with these bytes and closes it (None: never answers)."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                held.append(connection)
                connection.recv(65536)
                if data is not None:
                    connection.sendall(data)
                    connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in held:
            connection.close()
        thread.join()


HEALTHY = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'
BREAKS = [
    (b"", "broke off"),
    (HEALTHY[:-3], "broke off"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{", "broke off"),
    (b"SSH-2.0-OpenSSH\r\n", "broke off"),
    (None, "did not answer"),
]


@both
@pytest.mark.parametrize(("data", "sentence"), BREAKS)
async def test_a_broken_answer_is_never_a_short_one(kind: str, data: bytes | None, sentence: str) -> None:
    with answering(data) as url, pytest.raises(NotReachable, match=sentence):
        await asking(kind, url, None, timeout=0.5)("healthz")


@both
async def test_a_body_may_end_with_its_connection(kind: str) -> None:
    with answering(b'HTTP/1.0 200 OK\r\n\r\n{"status":"ok"}') as url:
        assert (await asking(kind, url, None)("healthz")).status == "ok"


@both
async def test_nobody_there(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotReachable, match="does not answer") as nobody:
        await asking(kind, f"http://127.0.0.1:{port}", None)("healthz")
    assert "model-manager serve" in nobody.value.hint


@both
async def test_tls_trusts_whom_it_is_told_to(kind: str) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with answering(HEALTHY, server) as url:
        assert (await asking(kind, url, None, tls=trusting)("healthz")).status == "ok"
        with pytest.raises(NotReachable, match="not trusted here"):
            await asking(kind, url, None)("healthz")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://u:p@x", "http://x:port", "x:8080"])
def test_an_address_is_checked_where_it_enters(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Client(url)
    assert "u:p" not in refused.value.sentence


def test_a_client_never_shows_its_token() -> None:
    for client in (Client("http://x", "s3cret"), AsyncClient("http://x", "s3cret")):
        assert "s3cret" not in repr(client)
