"""Which requests take the short way, and that it lets nobody in who would not be let in otherwise."""

import asyncio
from hashlib import sha256

import pytest

from model_manager.gateway import shortcut
from model_manager.relay.known import HEAD_BYTES
from model_manager.tokens import Identity
from tests.gateway.serving import Gateway, behind
from tests.relay.upstream import OK, Peer, ever
from tests.waiting import until

PROXIED = {"X-Forwarded-For": "10.0.0.1"}
"""With it a request on loopback needs a token."""

TOKEN = PROXIED | {"Authorization": "Bearer client-t0ken"}


@pytest.fixture(autouse=True)
def known_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gateway.serving.WAY", "known head")


def issue(gateway: Gateway, token: str, models: frozenset[str] | None = None) -> Identity:
    identity = Identity(name=f"token:{token}", scope="chat", models=models)
    gateway.keyring.add(sha256(token.encode()).digest(), identity)
    return identity


async def by_the_application(
    gateway: Gateway, headers: dict[str, str] | None = None, status: int = 200, model: str = "demo"
) -> bool:
    """Ask, and say whether the application saw it."""
    before = gateway.of_application
    answer = await gateway.ask({"model": model, "text": "x" * before}, headers=headers)
    assert answer.status == status
    return gateway.of_application > before


async def test_a_head_that_was_let_in_once_takes_the_short_way_whatever_the_length() -> None:
    async with behind(ever) as (upstream, gateway):
        assert await by_the_application(gateway, TOKEN)
        for _ in range(5):
            assert not await by_the_application(gateway, TOKEN)
        assert gateway.statuses == [200] * 6
        assert gateway.slots.busy == 0
        ids = [asked.header(b"x-request-id") for asked in upstream.requests]
        assert len(set(ids)) == 6
        assert {asked.header(b"authorization") for asked in upstream.requests} == {b"Bearer upstream-k3y"}


@pytest.mark.parametrize(
    "headers",
    [{"X-Request-ID": "mine"}, {"X-Long": "x" * HEAD_BYTES}],
    ids=["an id of its own", "a long one"],
)
async def test_heads_that_are_never_remembered(headers: dict[str, str]) -> None:
    async with behind(ever) as (_, gateway):
        for _ in range(3):
            assert await by_the_application(gateway, TOKEN | headers)


async def test_w14_no_other_head_profits_from_one_that_is_known() -> None:
    async with behind(ever) as (upstream, gateway):
        assert await by_the_application(gateway, TOKEN)
        asked = len(upstream.requests)
        for headers, status in (
            (TOKEN | {"Authorization": "Bearer wrong"}, 401),
            (TOKEN | {"X-API-Key": "wrong"}, 401),
            (TOKEN | {"Host": "rebound.example"}, 421),
            (TOKEN | {"Origin": "http://rebound.example"}, 403),
            (TOKEN | {"Content-Type": "text/plain"}, 415),
        ):
            assert await by_the_application(gateway, headers, status)
        assert len(upstream.requests) == asked


async def test_a_token_s_models_and_its_end_count_on_the_short_way_too() -> None:
    async with behind(ever) as (upstream, gateway):
        identity = issue(gateway, "limited", frozenset({"demo"}))
        headers = PROXIED | {"Authorization": "Bearer limited"}
        assert await by_the_application(gateway, headers)
        assert not await by_the_application(gateway, headers)
        assert await by_the_application(gateway, headers, 403, model="other")
        identity.expires_at = 1.0
        assert await by_the_application(gateway, headers, 401)
        asked = len(upstream.requests)
        identity.expires_at = None
        identity.ended.set()
        assert await by_the_application(gateway, headers, 401)
        assert len(upstream.requests) == asked


async def test_a_token_that_ends_while_its_answer_is_made_ends_that_too() -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.client_left()

    async with behind(talk) as (upstream, gateway):
        identity = issue(gateway, "limited")
        headers = PROXIED | {"Authorization": "Bearer limited"}
        assert await by_the_application(gateway, headers)
        waiting = asyncio.create_task(gateway.ask({}, headers=headers))
        await until(lambda: len(upstream.requests) == 2)
        before = gateway.of_application
        identity.ended.set()
        assert (await waiting).status == 401
        assert gateway.of_application == before + 1  # it began on the short way, and went on on the usual one
        await until(lambda: upstream.left == 1 and gateway.slots.busy == 0)


async def test_heads_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut, "HEADS", 2)
    async with behind(ever) as (_, gateway):
        for number in range(3):
            assert await by_the_application(gateway, TOKEN | {"User-Agent": str(number)})
        assert await by_the_application(gateway, TOKEN | {"User-Agent": "0"})
        assert not await by_the_application(gateway, TOKEN | {"User-Agent": "0"})
