"""Which model server a request's `model` leads to."""

import asyncio
import time
from typing import Any

import pytest

from model_manager.errors import Forbidden, NotFound, Unavailable
from model_manager.serving.targets import Coming, Name, OnItsWay, Target, Targets
from tests.waiting import until


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


# ── names ────────────────────────────────────────────────────────────────────────────────────


def coming(model: str, *names: str, ready_at: float | None = None) -> Coming:
    return Coming(model, frozenset((model, *names)), "starting", ready_at)


def test_every_name_is_listed_once_and_leads_where_find_leads() -> None:
    targets = Targets("main", ("second", "third", "fourth"))
    targets.open(GOOD)
    targets.open(GREEDY)
    targets.expect("third", coming("late"))
    assert targets.names() == [
        Name("main", "main", "good", 0),
        Name("good", "main", "good", 0),
        Name("acme/Good", "main", "good", 0),
        Name("second", "second", "greedy", 0),
        Name("greedy", "second", "greedy", 0),
        Name("third", "third", "late", 0),
    ]
    for one in targets.names()[:-1]:
        assert targets.find(one.name).slot == one.slot


def test_w13_no_alias_takes_the_name_of_a_declared_slot() -> None:
    targets = Targets("main", ("second", "third"))
    targets.open(target("second", "greedy", aliases=("third",)))
    with pytest.raises(Unavailable, match="Slot third serves no model right now"):
        targets.find("third")
    targets.expect("second", coming("greedy", "third"))
    targets.close("second")
    with pytest.raises(Unavailable, match="Slot third serves no model right now"):
        targets.find("third")


def test_an_inactive_model_is_told_from_an_unknown_one() -> None:
    targets = Targets("main", entry_of={"idle": "idle", "acme/Idle": "idle"}.get)
    targets.open(GOOD)
    with pytest.raises(NotFound) as caught:
        targets.find("acme/Idle")
    assert caught.value.sentence == "idle is not active."
    assert caught.value.hint.startswith("Active now: good. `model-manager activate idle` ")


async def test_w15_a_renamed_alias_leads_new_requests_elsewhere_while_old_ones_end() -> None:
    targets = Targets("main", ("second",))
    targets.open(target("main", "a", aliases=("best",)))
    targets.open(target("second", "b"))
    old = targets.find("best")
    with targets.lease(old):
        targets.close("second")
        targets.open(target("second", "b", aliases=("best",)))
        targets.open(target("main", "a"))
        assert targets.find("best").model_id == "b"
        assert (targets.in_flight("main"), old.model_id) == (1, "a")


# ── a token's models ─────────────────────────────────────────────────────────────────────────


def limited() -> Targets:
    targets = Targets("main", ("second", "third"), entry_of={"idle": "idle"}.get)
    targets.open(target("main", "a", served="acme/A", aliases=("best",)))
    targets.open(target("second", "b"))
    targets.expect("third", coming("c"))
    return targets


@pytest.mark.parametrize(
    ("only", "name", "expected"),
    [
        ({"a"}, "a", "main"),
        ({"a"}, "acme/A", "main"),
        ({"a"}, "best", "main"),
        ({"a"}, "main", "main"),
        ({"a"}, None, "main"),
        ({"best"}, "best", "main"),
        ({"best"}, "a", Forbidden),
        ({"main"}, "a", "main"),
        ({"second"}, "b", "second"),
        ({"a"}, "b", Forbidden),
        ({"a"}, "second", Forbidden),
        ({"b"}, None, Forbidden),
        ({"a"}, "c", Forbidden),
        ({"a"}, "third", Forbidden),
        ({"c"}, "third", OnItsWay),
        ({"third"}, "c", OnItsWay),
        ({"a"}, "idle", Forbidden),
        ({"idle"}, "idle", NotFound),
        ({"a"}, "unknown", Forbidden),
        (set(), "a", Forbidden),
    ],
)
async def test_a_token_s_models(only: set[str], name: str | None, expected: Any) -> None:
    if isinstance(expected, str):
        assert limited().find(name, only).slot == expected
        assert (await limited().wait_for(name, only)).slot == expected
    else:
        with pytest.raises(expected) as caught:
            limited().find(name, only)
        assert type(caught.value) is expected


def test_a_refused_token_is_told_what_it_may_use_and_no_more() -> None:
    with pytest.raises(Forbidden) as caught:
        limited().find("b", {"main", "a"})
    assert (caught.value.sentence, caught.value.hint) == (
        "This token may not use 'b'.",
        "It may use: a, main.",
    )
    with pytest.raises(NotFound) as caught_too:
        limited().find("idle", {"idle"})
    assert "Nothing is active" in caught_too.value.hint
    assert {one.slot for one in limited().names({"a"})} == {"main"}


# ── waiting ──────────────────────────────────────────────────────────────────────────────────


def switching(wait: float = 5.0, queue: int = 256, ready_at: float | None = None) -> Targets:
    """Slot main served `good` and is on its way to `new`."""
    targets = Targets("main", wait=wait, queue=queue, entry_of={"new": "new", "acme/New": "new"}.get)
    targets.open(GOOD)
    targets.close("main")
    targets.expect("main", coming("new", "acme/New", ready_at=ready_at))
    return targets


async def asked(targets: Targets, *names: str | None) -> list[asyncio.Task[Target]]:
    """Requests that wait."""
    tasks = [asyncio.create_task(targets.wait_for(name)) for name in names]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def test_w2_requests_wait_for_the_slot_and_for_the_names_of_the_model_that_comes() -> None:
    targets = switching()
    tasks = await asked(targets, None, "main", "new", "acme/New")
    targets.expect("main", Coming("new", frozenset({"new", "acme/New"}), "verifying"))
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    new = target("main", "new", served="acme/New")
    targets.open(new)
    assert await asyncio.gather(*tasks) == [new] * 4


async def test_w1_a_waiting_request_is_counted_in_the_turn_in_which_it_finds() -> None:
    """A slot that closes right after it opened either is seen as closed or finds the request in flight."""
    targets = switching()
    seen: list[int] = []

    async def request() -> None:
        found = await targets.wait_for("main")
        with targets.lease(found):
            seen.append(targets.in_flight("main"))
            assert targets.get("main") is found

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    targets.open(GOOD)
    targets.close("main")  # before the request could run: it goes on waiting
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    targets.open(GOOD)
    await task
    assert seen == [1]


@pytest.mark.parametrize(("seconds", "least", "most"), [(None, 2, 2), (40.0, 39, 40), (-5.0, 2, 2)])
async def test_the_wait_ends_with_the_time_to_come_back(seconds: float | None, least: int, most: int) -> None:
    targets = switching(wait=0.05, ready_at=None if seconds is None else time.monotonic() + seconds)
    with pytest.raises(OnItsWay, match="new is on its way in slot main") as caught:
        await targets.wait_for("new")
    assert least <= caught.value.data["retry_after"] <= most


async def test_w4_when_the_switch_fails_waiters_get_the_restored_model_or_the_reason() -> None:
    targets = switching()
    by_slot, by_id, by_name = await asked(targets, "main", "new", "acme/New")
    targets.give_up("main", "The model server ended with exit code 1.")
    assert (await asked(targets, "main"))[0], "whoever comes in this moment waits too"
    targets.expect("main", coming("good", "acme/Good"))
    for task, name in ((by_id, "new"), (by_name, "new")):
        with pytest.raises(Unavailable, match=f"{name} is not active. new could not be activated") as caught:
            await task
        assert "The model server ended with exit code 1." in caught.value.sentence
    assert not by_slot.done()
    targets.open(GOOD)
    assert await by_slot is GOOD
    with pytest.raises(
        NotFound, match="ended with exit code 1"
    ):  # who asks later is told too, without waiting
        await targets.wait_for("new")


async def test_w4_when_nothing_can_be_restored_all_waiters_are_told() -> None:
    targets = switching()
    tasks = await asked(targets, "main", "new")
    targets.give_up("main", "The weights are broken.")
    targets.expect("main", None)
    for task in tasks:
        with pytest.raises(
            Unavailable, match="new could not be activated in slot main: The weights are broken"
        ):
            await task


async def test_an_old_reason_is_forgotten_when_the_model_serves() -> None:
    targets = switching()
    targets.give_up("main", "Bad luck.")
    targets.open(target("main", "new"))
    targets.close("main")
    targets.expect("main", None)
    with pytest.raises(NotFound) as caught:
        targets.find("new")
    assert "Bad luck" not in caught.value.sentence


async def test_waiters_are_told_when_something_else_is_wanted() -> None:
    targets = switching()
    by_slot, by_id = await asked(targets, "main", "new")
    targets.expect("main", coming("newer"))
    with pytest.raises(Unavailable, match="new is not active"):
        await by_id
    assert not by_slot.done()
    by_slot.cancel()


async def test_w7_a_full_queue_refuses_at_once() -> None:
    targets = switching(wait=0.5, queue=2, ready_at=time.monotonic() + 30)
    tasks = await asked(targets, "main", "new")
    with pytest.raises(Unavailable, match="2 requests wait for it already") as caught:
        await asyncio.wait_for(targets.wait_for("main"), 1)
    assert caught.value.data["retry_after"] >= 29
    targets.open(GOOD)
    assert await tasks[0] is GOOD
    with pytest.raises(Unavailable):
        await tasks[1]
    targets.close("main")
    await asked(targets, "main", "main")  # there is room again


async def test_w8_a_thousand_clients_that_leave_while_they_wait_free_their_places_at_once() -> None:
    targets = switching(queue=1000)
    tasks = await asked(targets, *["main"] * 1000)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = await asked(targets, *["main"] * 1000)
    targets.open(GOOD)
    assert set(await asyncio.gather(*again)) == {GOOD}
    await until(lambda: targets.in_flight("main") == 0)


async def test_nobody_waits_for_a_service_that_ends() -> None:
    targets = switching(wait=60)
    (task,) = await asked(targets, "main")
    targets.stop_waiting()
    for late in (task, targets.wait_for("main")):
        with pytest.raises(OnItsWay):
            await asyncio.wait_for(late, 1)
