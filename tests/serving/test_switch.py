"""Switching on a whole service with real processes: who serves, who is restored, and what the failed one says."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from model_manager import commands
from model_manager.errors import Conflict, NotFound
from model_manager.metrics import expose
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.waiting import until

RUNTIMES = {
    "well": (),
    "late": ("late:0.6",),
    "never-ready": ("never_ready",),
    "lies": ("lie_name:other",),
    "mute": ("no_tokens",),
    "killed": ("exit:137",),
    "stubborn": ("ignore_term",),
    "slow": ("slow_tokens:0.3", "tokens:4"),
    "crashes-later": ("exit_after:1.5",),
}


def prepare(folder: Path, models: dict[str, str], **more: Any) -> None:
    write_runtimes(folder / "runtimes", [runtime(name, *words) for name, words in RUNTIMES.items()])
    write_catalog(folder / "catalog", models, **more)


@asynccontextmanager
async def house(
    folder: Path, models: dict[str, str], settings: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[House]:
    prepare(folder, models, **more)
    async with open_house(house_settings(folder, **(settings or {}))) as opened:
        yield opened


async def test_install_activate_chat_switch_and_deactivate(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "b": "well"}) as h:
        first = await h.active("a")
        assert first.job_id is not None
        assert await _phases(h, first.id) == ["queued", "installing", "starting", "verifying", "active"]
        status, answer = await h.chat()
        assert (status, answer["model"]) == (200, "a")
        second = await h.active("b")
        assert (await h.chat())[1]["model"] == "b"
        assert await _phases(h, second.id) == [
            "queued",
            "installing",
            "stopping",
            "starting",
            "verifying",
            "active",
        ]
        assert [one.serving for one in (await commands.list_activations(h.parts))[0]] == [True, False]
        assert (await h.chat("a"))[0] == 404
        action, slot = await commands.deactivate(h.parts, actor="test")
        assert (action, slot.state) == ("deleted", "empty")
        await h.serves(None)
        assert (await h.chat())[0] == 503
        assert (await commands.deactivate(h.parts, actor="test"))[0] == "already_deleted"


async def _phases(h: House, activation_id: str) -> list[str]:
    events = await h.parts.events.page(subject="active-llm", limit=1000)
    mine = [event.kind for event in events if event.data.get("activation") == activation_id]
    return [kind.removeprefix("activation_") for kind in mine if kind.startswith("activation_")]


async def test_the_same_wish_twice_is_one_activation(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well"}) as h:
        one, two = await asyncio.gather(h.activate("a"), h.activate("a"))
        assert one.id == two.id
        await h.ended(one)
        assert (await h.activate("a")).id == one.id


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        ("lies", "wrong_model", "names 'other'"),
        ("mute", "no_token", "generated nothing"),
        ("killed", None, "137"),
    ],
)
async def test_a_model_that_fails_is_replaced_by_the_last_good_one(
    tmp_path: Path, bad: str, code: str | None, said: str
) -> None:
    """G3, G6: the failed one keeps its cause, and the old model serves again."""
    async with house(tmp_path, {"good": "well", "bad": bad}) as h:
        await h.active("good")
        failed = await h.ended(await h.activate("bad"))
        assert failed.result in ("failed", "restored")
        assert said in failed.reason
        assert code is None or failed.code == code
        assert failed.log_tail
        await until(lambda: _result(h, failed.id, "restored"))
        await h.serves("good")
        assert (await h.chat())[1]["model"] == "good"
        restored = await commands.get_activation(h.parts, failed.id)
        assert restored.restored_by == (await commands.get_slot(h.parts, "active-llm")).last_good


async def test_a_model_that_is_never_ready_fails_at_its_deadline(tmp_path: Path) -> None:
    async with house(tmp_path, {"good": "well", "bad": "never-ready"}, {"activation_timeout": 1.5}) as h:
        await h.active("good")
        failed = await h.ended(await h.activate("bad"))
        assert "ready" in failed.reason
        await h.serves("good")


async def test_without_a_last_good_one_the_slot_is_empty_and_says_why(tmp_path: Path) -> None:
    async with house(tmp_path, {"bad": "killed"}) as h:
        failed = await h.ended(await h.activate("bad"))
        assert failed.result == "failed"
        await h.serves(None)
        slot = await commands.get_slot(h.parts, "active-llm")
        assert slot.state == "failed"
        assert slot.desired is not None
        assert slot.desired.reason == failed.reason
        # Only a user retries what failed, and may.
        again = await h.activate("bad")
        assert again.id != failed.id


async def test_quick_wishes_end_at_the_last(tmp_path: Path) -> None:
    """G7: A, B, C in quick succession ends at C; each earlier one is superseded, and one process is left."""
    async with house(tmp_path, {"a": "late", "b": "late", "c": "late"}) as h:
        wishes = [await h.activate(name) for name in ("a", "b", "c")]
        await h.ended(wishes[2])
        results = [(await commands.get_activation(h.parts, wish.id)).result for wish in wishes]
        assert results == ["superseded", "superseded", "active"]
        for line in (
            '{result="superseded",slot="active-llm"} 2.0',
            '{result="active",slot="active-llm"} 1.0',
        ):
            await until(lambda line=line: f"model_manager_activations_total{line}" in _scraped(h))
        await h.serves("c")
        assert len((await h.parts.platform.observe("active-llm")).instances) == 1


def _scraped(h: House) -> str:
    return expose(h.parts.metrics).body.decode()


async def test_wishes_in_the_middle_of_a_switch_end_at_the_last(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "b": "late", "c": "well"}) as h:
        await h.active("a")
        second = await h.activate("b")
        await until(lambda: _phase(h, second.id, "starting"))
        await h.active("c")
        assert (await commands.get_activation(h.parts, second.id)).result == "superseded"
        await h.serves("c")


async def _phase(h: House, activation_id: str, phase: str) -> bool:
    return (await commands.get_activation(h.parts, activation_id)).phase == phase


async def _result(h: House, activation_id: str, result: str) -> bool:
    return (await commands.get_activation(h.parts, activation_id)).result == result


async def test_requests_in_flight_end_before_the_old_model_is_stopped(tmp_path: Path) -> None:
    """W1: a request that began before the switch gets its whole answer."""
    async with house(tmp_path, {"old": "slow", "new": "well"}) as h:
        await h.active("old")
        request = asyncio.create_task(h.chat())
        await until(lambda: h.parts.targets.in_flight("active-llm"))
        await h.activate("new")
        status, answer = await request
        assert (status, answer["model"]) == (200, "old")
        await h.serves("new")


async def test_a_model_that_ignores_term_is_killed_and_the_switch_goes_on(tmp_path: Path) -> None:
    """P5, G4: the new model starts only when the old process is gone."""
    async with house(tmp_path, {"old": "stubborn", "new": "well"}) as h:
        await h.active("old")
        old = (await h.parts.platform.observe("active-llm")).instances[0].pid
        await h.active("new")
        assert not Path(f"/proc/{old}").exists()


async def test_a_failed_install_leaves_the_old_model_alone(tmp_path: Path) -> None:
    missing = {"source": {"uri": "file:weights/nowhere", "files": [{"path": "model.bin"}]}}
    async with house(tmp_path, {"good": "well", "bad": "well"}, bad=missing) as h:
        await h.active("good")
        before = (await h.parts.platform.observe("active-llm")).instances[0].pid
        failed = await h.ended(await h.activate("bad"))
        assert failed.result == "failed"
        assert "nowhere" in failed.reason
        assert failed.hint.endswith("good serves on.")
        slot = await commands.get_slot(h.parts, "active-llm")
        assert (slot.state, slot.reason) == ("active", "")
        assert slot.last_failure is not None
        assert slot.last_failure.id == failed.id
        await h.serves("good")
        assert (await h.parts.platform.observe("active-llm")).instances[0].pid == before


async def test_what_does_not_fit_is_refused_before_anything_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path, {"good": "well", "huge": "well"}) as h:
        await h.active("good")
        before = (await h.parts.platform.observe("active-llm")).instances[0].pid

        async def huge(self: object, row: object) -> int:
            return 1 << 60

        monkeypatch.setattr("model_manager.serving.preparation.Preparation.memory_needed", huge)
        failed = await h.ended(await h.activate("huge"))
        assert failed.result == "failed"
        assert "memory" in failed.reason
        assert (await h.parts.platform.observe("active-llm")).instances[0].pid == before
        assert (await h.chat())[0] == 200


async def test_an_unknown_runtime_is_refused_before_anything_is_stopped(tmp_path: Path) -> None:
    async with house(tmp_path, {"good": "well", "bad": "no-such-runtime"}) as h:
        await h.active("good")
        failed = await h.ended(await h.activate("bad"))
        assert "no-such-runtime" in failed.reason
        await h.serves("good")


async def test_cancelling_brings_the_old_model_back(tmp_path: Path) -> None:
    async with house(tmp_path, {"good": "well", "bad": "never-ready"}) as h:
        await h.active("good")
        attempt = await h.activate("bad")
        await until(lambda: _phase(h, attempt.id, "starting"))
        cancelled = await commands.cancel_activation(h.parts, attempt.id, "test")
        assert cancelled.result == "cancelled"
        await h.serves("good")
        with pytest.raises(Conflict, match="ended already"):
            await commands.cancel_activation(h.parts, attempt.id, "test")


async def test_a_served_model_that_crashes_is_started_again_and_verified_again(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well"}) as h:
        await h.active("a")
        pid = (await h.parts.platform.observe("active-llm")).instances[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _other_pid(h, pid))
        assert (await h.chat("a"))[0] == 200  # it waited for the model to be verified again
        await h.serves("a")
        ended = [
            event for event in await h.parts.events.page(limit=1000) if event.kind == "model_server_ended"
        ]
        assert [(event.subject, event.data["modelId"], event.data["restarts"]) for event in ended] == [
            ("active-llm", "a", 1)
        ]
        assert "SIGKILL" in ended[0].data["reason"]
        assert (await h.chat())[0] == 200


async def _other_pid(h: House, pid: int) -> bool:
    instances = (await h.parts.platform.observe("active-llm")).instances
    return bool(instances) and instances[0].pid not in (None, pid)


async def test_weights_in_use_are_not_deleted(tmp_path: Path) -> None:
    """D19, G10: deleting names the slot; after deactivation it works."""
    async with house(tmp_path, {"a": "well"}) as h:
        await h.active("a")
        with pytest.raises(Conflict, match="slot active-llm"):
            await commands.delete_weights(h.parts, "a", "test")
        await commands.deactivate(h.parts, actor="test")
        await commands.delete_weights(h.parts, "a", "test")
        assert h.parts.weights.find("a") is None
        with pytest.raises(NotFound):
            await commands.delete_weights(h.parts, "a", "test")


async def test_two_slots_serve_two_models(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "b": "well"}, {"slots": ("second",)}) as h:
        await h.active("a")
        await h.active("b", "second")
        assert (await h.chat("second"))[1]["model"] == "b"
        assert (await h.chat("a"))[1]["model"] == "a"
        with pytest.raises(NotFound, match="no slot 'third'"):
            await h.activate("a", "third")


async def test_an_entry_that_changes_is_told_until_it_is_activated_again(tmp_path: Path) -> None:
    """T10: what serves keeps its entry; the status says that the catalog has moved on."""
    async with house(tmp_path, {"a": "well", "b": "well"}) as h:
        first = await h.active("a")
        assert not first.catalog_moved_on
        write_catalog(tmp_path / "catalog", {"a": "late"})
        await commands.refresh(h.parts, "test")
        assert (await commands.get_activation(h.parts, first.id)).catalog_moved_on
        second = await h.active("a")
        assert second.id != first.id
        (tmp_path / "catalog" / "models" / "a.json").unlink()
        await commands.refresh(h.parts, "test")
        assert (await commands.get_activation(h.parts, second.id)).catalog_moved_on
        assert await h.serving() == "a"


async def test_after_a_restart_the_slot_serves_again(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well"}) as h:
        first = await h.active("a")
    async with open_house(house_settings(tmp_path)) as h:
        await h.serves("a")
        assert await _result(h, first.id, "active")
        await commands.deactivate(h.parts, actor="test")
        await h.serves(None)
    async with open_house(house_settings(tmp_path)) as h:
        await asyncio.wait_for(h.parts.loops["active-llm"].turn(), 5)
        assert (await h.parts.platform.observe("active-llm")).empty
        assert (await commands.get_slot(h.parts, "active-llm")).state == "empty"
