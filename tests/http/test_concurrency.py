"""H13a: expensive routes, and callers who ask for everything at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx2
import pytest

from model_manager.errors import TooManyRequests
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.concurrency import EACH, ConcurrencyLimits
from model_manager.http.routing import Encoded, Route
from model_manager.http.sse import EventStream, Message
from model_manager.tokens import Identity, Keyring
from tests.http.live import TOKEN, serving
from tests.waiting import until
from tests.web.asking import problem

Client = httpx2.AsyncClient


class Doors:
    def __init__(self) -> None:
        self.waiting = 0
        self.open = asyncio.Event()


async def slow(doors: Doors) -> Encoded[list[Any]]:
    """Answers when the doors are opened."""
    doors.waiting += 1
    await doors.open.wait()
    return Encoded(b"[]")


async def probe(_: Doors) -> Encoded[list[Any]]:
    """Alive."""
    return Encoded(b"[]")


async def stream(_: Doors) -> EventStream:
    """Nothing, for as long as one listens."""

    async def messages() -> AsyncGenerator[Message, None]:
        await asyncio.Event().wait()
        yield Message()

    return EventStream(messages())


ROUTES = [
    Route("GET", "/expensive", slow, at_once=2),
    Route("GET", "/slow", slow),
    Route("GET", "/probe", probe, always=True),
    Route("GET", "/cheap", probe),
    Route("GET", "/stream", stream),
]


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
async def client(doors: Doors) -> AsyncIterator[Client]:
    app = application(
        [route.bound(doors) for route in ROUTES],
        version="1",
        auth=Auth(Keyring(TOKEN), loopback=True),
        closing=asyncio.Event(),
    )
    async with serving(app) as client:
        yield client
        doors.open.set()


async def test_h13a_an_expensive_route_answers_few_at_a_time(client: Client, doors: Doors) -> None:
    first = [asyncio.create_task(client.get("/expensive")) for _ in range(2)]
    await until(lambda: doors.waiting == 2)
    refused = await client.get("/expensive")
    assert "GET /expensive" in problem(refused, 429, "too_many_requests")["detail"]
    assert refused.headers["retry-after"] == "1"
    assert (await client.get("/cheap")).status_code == 200
    doors.open.set()
    assert [one.status_code for one in await asyncio.gather(*first)] == [200, 200]
    assert (await client.get("/expensive")).status_code == 200


async def test_h13a_one_caller_has_so_many_requests_under_way_and_others_go_on(
    client: Client, doors: Doors
) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=client.base_url, trust_env=False, limits=limits) as many:
        held = [asyncio.create_task(many.get("/slow")) for _ in range(EACH)]
        await until(lambda: doors.waiting == EACH)
        problem(await many.get("/cheap"), 429, "too_many_requests")
        assert (await many.get("/probe")).status_code == 200  # a kubelet may share the address
        named = await many.get("/cheap", headers={"authorization": f"Bearer {TOKEN}"})
        assert named.status_code == 200
        doors.open.set()
        assert {one.status_code for one in await asyncio.gather(*held)} == {200}
        assert (await many.get("/cheap")).status_code == 200


async def test_h13a_streams_take_no_turn(client: Client, doors: Doors) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=client.base_url, trust_env=False, limits=limits) as many:
        streams = [many.stream("GET", "/stream") for _ in range(EACH + 5)]
        for one in streams:
            assert (await one.__aenter__()).status_code == 200
        assert (await many.get("/cheap")).status_code == 200
        for one in streams:
            await one.__aexit__(None, None, None)


def test_a_turn_that_was_refused_takes_nothing() -> None:
    limits = ConcurrencyLimits(each=1)
    scope = {"state": {"identity": Identity(name="token:a", scope="read")}}
    turn = limits.acquire(scope, "GET /x", 5)
    for _ in range(3):
        with pytest.raises(TooManyRequests):
            limits.acquire(scope, "GET /x", 5)
    limits.release(turn)
    limits.release(limits.acquire(scope, "GET /x", 1))
    assert limits._taken == {}
