"""Who of several services works: taken, renewed, asked for, handed over, expired, lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from model_manager.errors import Forbidden, Unavailable
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.lease import ASKED_BY, Lease, Pace, seen_in
from model_manager.serving.kserve.refusals import StaleVersion
from tests.serving.kserve.conftest import api_of
from tests.serving.kserve.fake_api import FakeApi, Fault
from tests.serving.kserve.fake_store import Key, Object
from tests.serving.kserve.services import silent
from tests.waiting import until

KEY: Key = ("leases", "default", "turn")


class Clock:
    """Of one service; a test lets time pass for it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., Lease]


@pytest.fixture
async def make(api: FakeApi) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def made(identity: str, clock: Clock | None = None, **more: Any) -> Lease:
            lease = Lease(
                more.pop("api", None) or api_of(api), "turn", identity, Pace(every=0.01, release=0.1),
                clock or Clock(), **more,
            )  # fmt: skip
            stack.push_async_callback(lease.aclose)
            return lease

        yield made


def held(api: FakeApi) -> Object:
    return api.store.get(KEY)


def holder(api: FakeApi) -> str:
    return seen_in(held(api)).holder


async def test_the_first_one_takes_it_at_once(api: FakeApi, make: Make) -> None:
    assert await make("a").take(ask=True) == 1
    spec = held(api)["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("a", 15)


@pytest.mark.parametrize("before", ["none", "given back"])
async def test_of_many_at_the_same_time_one_has_it(api: FakeApi, make: Make, before: str) -> None:
    if before == "given back":
        api.store.put(KEY, {"spec": {"leaseTransitions": 3}})
    leases = [make(f"m{number}") for number in range(5)]
    taking = [asyncio.create_task(lease.take(ask=False)) for lease in leases]
    await until(lambda: any(task.done() for task in taking))
    await until(lambda: api.count("get", "leases") > 20)
    [winner] = [lease for lease, task in zip(leases, taking, strict=True) if task.done()]
    assert holder(api) == winner.identity
    for task in taking:
        task.cancel()


async def test_it_is_asked_for_handed_over_and_the_token_grows(api: FakeApi, make: Make) -> None:
    old, new, third = make("old"), make("new"), make("third")
    assert await old.take(ask=True) == 1
    holding = asyncio.create_task(old.hold())
    taking = asyncio.create_task(new.take(ask=True))
    assert await holding == "asked"
    assert seen_in(held(api)).asked_by == "new"
    assert not taking.done(), "only the holder gives it back"
    await until(lambda: api.count("get", "leases") > 10)
    assert not taking.done()
    waiting = asyncio.create_task(third.take(ask=False))
    await old.release()
    assert await taking == 2
    assert (holder(api), seen_in(held(api)).asked_by) == ("new", "")
    assert not waiting.done(), "who asked comes first"
    waiting.cancel()


async def test_who_only_waits_asks_nobody(api: FakeApi, make: Make) -> None:
    old = make("old")
    await old.take(ask=True)
    waiting = asyncio.create_task(make("passive").take(ask=False))
    await until(lambda: api.count("get", "leases") > 10)
    assert seen_in(held(api)).asked_by == ""
    await old.release()
    assert await waiting == 2, "given back and asked for by nobody"


async def test_what_was_given_back_for_one_who_is_gone_is_free_after_a_while(
    api: FakeApi, make: Make
) -> None:
    old, clock = make("old"), Clock()
    await old.take(ask=True)
    api.store.merge(KEY, {"metadata": {"annotations": {ASKED_BY: "gone"}}}, "gone")
    assert await old.hold() == "asked"
    await old.release()
    waiting = asyncio.create_task(make("other", clock).take(ask=True))
    before = api.count("get", "leases")
    await until(lambda: api.count("get", "leases") > before + 5)
    assert not waiting.done()
    clock.now += 16
    assert await waiting == 2
    assert seen_in(held(api)).asked_by == ""


async def test_one_that_is_renewed_is_never_free_and_one_that_is_not_is(api: FakeApi, make: Make) -> None:
    mine, yours = Clock(), Clock()
    old, new = make("old", mine), make("new", yours)
    await old.take(ask=True)
    holding = asyncio.create_task(old.hold())
    waiting = asyncio.create_task(new.take(ask=False))
    for _ in range(6):
        before = held(api)["spec"]["renewTime"]
        mine.now += 6
        await until(lambda before=before: held(api)["spec"]["renewTime"] != before)  # type: ignore[misc]
        seen = api.count("get", "leases")
        await until(lambda seen=seen: api.count("get", "leases") > seen + 4)  # type: ignore[misc]
        yours.now += 6
    assert not waiting.done()
    holding.cancel()
    yours.now += 16
    assert await waiting == 2


async def test_a_paused_holder_learns_that_it_has_lost_it_and_gives_nothing_back(
    api: FakeApi, make: Make
) -> None:
    paused, clock = make("paused"), Clock()
    await paused.take(ask=True)
    waiting = asyncio.create_task(make("new", clock).take(ask=False))
    await until(lambda: api.count("get", "leases") > 5)
    clock.now += 16
    await waiting
    assert await paused.hold() == "lost"
    await paused.release()
    assert holder(api) == "new"


async def test_a_holder_goes_on_while_the_api_server_is_away(api: FakeApi, make: Make) -> None:
    lease = make("a")
    await lease.take(ask=True)
    holding = asyncio.create_task(lease.hold())
    await api.stop()
    await until(lambda: lease.trouble)
    assert isinstance(lease.trouble, Unavailable)
    await api.start()
    await until(lambda: lease.trouble is None)
    assert not holding.done()
    holding.cancel()


async def test_a_lease_that_was_deleted_is_made_again_with_its_token(api: FakeApi, make: Make) -> None:
    first, second = make("first"), make("second")
    await first.take(ask=True)
    await first.release()
    assert await second.take(ask=True) == 2
    holding = asyncio.create_task(second.hold())
    api.store.delete(KEY)
    await until(lambda: KEY in api.store.objects)
    assert (holder(api), seen_in(held(api)).token) == ("second", 2)
    assert not holding.done()
    holding.cancel()


@pytest.mark.parametrize("verb", ["create", "patch"])
async def test_a_take_whose_answer_was_lost_is_one(api: FakeApi, make: Make, verb: str) -> None:
    if verb == "patch":
        old = make("old")
        await old.take(ask=True)
        await old.release()
    api.faults.append(Fault(lambda asked: asked.verb == verb, "lose"))
    assert await make("a").take(ask=True) == (2 if verb == "patch" else 1)
    assert holder(api) == "a"


async def test_a_right_that_is_missing_is_named_while_waiting(api: FakeApi, make: Make) -> None:
    lease = make("a")
    api.forbid("get", "leases")
    waiting = asyncio.create_task(lease.take(ask=True))
    await until(lambda: lease.trouble)
    assert isinstance(lease.trouble, Forbidden)
    assert "may not get leases" in lease.trouble.sentence
    api.faults.clear()
    assert await waiting == 1


async def test_the_token_is_raised_above_what_the_state_has_met_only_by_the_holder(
    api: FakeApi, make: Make
) -> None:
    lease = make("a")
    await lease.take(ask=True)
    assert await lease.raise_to(8) == 8
    assert seen_in(held(api)).token == 8
    api.store.merge(KEY, {"spec": {"holderIdentity": "b"}}, "b")
    with pytest.raises(StaleVersion, match="b has the lease"):
        await lease.raise_to(9)


async def test_one_that_crashed_here_is_not_waited_for(api: FakeApi, make: Make) -> None:
    await make("crashed").take(ask=True)
    assert await make("next", is_gone=lambda holder: holder == "crashed").take(ask=False) == 2


async def test_giving_back_does_not_wait_for_a_server_that_is_silent(make: Make) -> None:
    async with silent() as server:
        api = Api(lambda: httpx2.AsyncClient(base_url=server.url, trust_env=False), "default")
        lease = make("a", api=api)
        lease.token = 1
        async with asyncio.timeout(3):
            await lease.release()
        assert (lease.token, server.asked) == (0, 1)


async def test_who_was_away_for_long_is_not_sure_to_hold_it_until_it_has_looked(
    api: FakeApi, make: Make
) -> None:
    clock = Clock()
    lease = make("a", clock)
    assert not lease.is_sure
    await lease.take(ask=True)
    assert lease.is_sure
    clock.now = 16
    assert not lease.is_sure, "another one may have taken it"
    holding = asyncio.create_task(lease.hold())
    await until(lambda: lease.is_sure)
    api.store.merge(KEY, {"spec": {"holderIdentity": "b"}}, "b")
    assert await holding == "lost"
    assert not lease.is_sure
