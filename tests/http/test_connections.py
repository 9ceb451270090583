"""How many connections there may be, counted exactly."""

import asyncio
from contextlib import suppress

import pytest

from model_manager.errors import TooManyRequests, Unavailable
from model_manager.http.connections import LINGERING, Connections, Limits
from tests.http.echo import GET, QUICK, echoing, problem
from tests.waiting import until


async def test_one_too_many_is_told_so_and_a_place_that_is_left_is_taken_again() -> None:
    async with echoing(Limits(connections=2)) as server:
        peers = [await server.peer(GET) for _ in range(2)]
        for one in peers:
            await one.answer()
        found = problem(await server.say(GET), 503, "unavailable")
        assert "2 connections" in found["detail"]
        assert "MODEL_MANAGER_MAX_CONNECTIONS" in found["hint"]
        peers[0].abort()
        await until(lambda: server.connections.count == 1)
        assert (await (await server.peer(GET)).answer()).startswith(b"HTTP/1.1 200 ")


async def test_one_client_may_not_take_all_places() -> None:
    async with echoing(Limits(connections=10, per_client=2)) as server:
        for _ in range(2):
            await (await server.peer(GET)).answer()
        answer = await server.say(b"")
        problem(answer, 429, "too_many_requests")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert server.connections.count == 2


async def test_refused_connections_take_no_place_and_not_much_else() -> None:
    async with echoing(Limits(connections=1)) as server:
        await (await server.peer(GET)).answer()
        refused = [await server.peer() for _ in range(LINGERING + 50)]
        ends = await asyncio.gather(*(one.end() for one in refused))
        told = sum(end.startswith(b"HTTP/1.1 503 ") for end in ends)
        assert LINGERING <= told < len(refused)
        assert server.connections.count == 1


async def test_no_place_leaks_however_connections_end() -> None:
    """Good ones, refused ones, aborted ones in every state: in the end nobody is there."""
    async with echoing(QUICK._replace(connections=30)) as server:
        beginnings = [
            b"",
            b"GET /a HT",
            GET,
            b"NONSENSE\r\n\r\n",
            GET.replace(b"GET", b"POST") + GET,
            GET * 5,
        ]
        for number in range(120):
            peer = await server.peer(beginnings[number % 6])
            if number % 4 == 0:
                peer.abort()
            elif number % 4 == 1:
                peer.writer.close()
            elif number % 4 == 2:
                with suppress(TimeoutError):
                    await peer.end(0.001)
        await until(lambda: server.connections.count == 0)
        assert (await (await server.peer(GET)).answer()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),  # one host has the whole /64
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::1%eth0", True),
    ],
)
def test_whom_an_address_stands_for(one: str, other: str, same: bool) -> None:
    connections = Connections(Limits(per_client=1))
    connections.admit(one)
    if same:
        with pytest.raises(TooManyRequests):
            connections.admit(other)
    else:
        connections.admit(other)


def test_a_place_is_given_back_once() -> None:
    connections = Connections(Limits(connections=1))
    place = connections.admit("10.0.0.1")
    with pytest.raises(Unavailable):
        connections.admit("10.0.0.2")
    place.leave()
    place.leave()
    assert connections.count == 0
    connections.admit(None)
