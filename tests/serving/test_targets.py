"""Which model server a request's `model` leads to."""

import asyncio

import pytest

from model_manager.errors import NotFound, Unavailable
from model_manager.serving.targets import Target, Targets


def target(slot: str, model: str, served: str | None = None, aliases: tuple[str, ...] = ()) -> Target:
    return Target(
        slot=slot,
        url="http://127.0.0.1:1",
        key=None,
        served_name=served or model,
        model_id=model,
        aliases=aliases,
    )


GREEDY = target("second", "greedy", aliases=("main", "good", "acme/Good"))
GOOD = target("main", "good", served="acme/Good")


@pytest.mark.parametrize("opened", [(GREEDY, GOOD), (GOOD, GREEDY)])
@pytest.mark.parametrize("name", ["main", "good", "acme/Good"])
def test_w13_an_alias_takes_no_name_from_a_slot_or_a_model(opened: tuple[Target, Target], name: str) -> None:
    targets = Targets("main")
    for one in opened:
        targets.open(one)
    assert targets.find(name) is GOOD
    assert targets.find("greedy") is GREEDY


def test_w13_nor_from_the_default_slot_while_that_is_empty() -> None:
    targets = Targets("main")
    targets.open(GREEDY)
    with pytest.raises(Unavailable):
        targets.find("main")
    assert targets.find("acme/Good") is GREEDY


def test_a_name_that_nothing_serves() -> None:
    targets = Targets("main")
    targets.open(GOOD)
    with pytest.raises(NotFound, match="No slot serves") as caught:
        targets.find("../x")
    assert caught.value.hint == "Active now: good."


async def test_a_slot_is_drained_when_its_last_request_has_ended() -> None:
    targets = Targets("main")
    assert await targets.drained("main", 0.0), "nothing is in flight"
    with targets.lease(GOOD):
        with targets.lease(GOOD):
            waiting = asyncio.create_task(targets.drained("main", 5.0))
            await asyncio.sleep(0)  # until it waits
        assert not await targets.drained("main", 0.01), "one is still in flight"
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting
    assert targets.in_flight("main") == 0
