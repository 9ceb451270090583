"""Hostile entries and unlucky moments on a whole service: an attempt may fail, a slot never gets stuck."""

from pathlib import Path
from typing import Any

import pytest

from model_manager import commands
from model_manager.errors import Conflict, Forbidden
from model_manager.serving import ledger
from model_manager.serving.local.platform import LocalPlatform
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.waiting import until


def prepare(folder: Path, *models: str, **more: Any) -> None:
    write_runtimes(folder / "runtimes", [runtime("well")])
    write_catalog(folder / "catalog", dict.fromkeys(models, "well"), **more)


MOUNTS: dict[str, dict[str, Any]] = {
    "no-path": {"volumeMounts": [{"name": "x"}]},
    "no-name": {"volumeMounts": [{"mountPath": "/x"}]},
    "odd-name": {"volumeMounts": [{"name": ["x"], "mountPath": "/x"}]},
    "odd-path": {"volumeMounts": [{"name": "x", "mountPath": {}}]},
    "odd-volume": {"volumes": [{"name": {}}], "volumeMounts": [{"name": "x", "mountPath": "/x"}]},
    "no-volume-name": {"volumes": [{"emptyDir": {}}]},
}


async def test_t13_odd_mounts_are_refused_in_a_sentence(tmp_path: Path) -> None:
    prepare(tmp_path, *MOUNTS, **MOUNTS)
    async with open_house(house_settings(tmp_path)) as h:
        for name in MOUNTS:
            status, answer = await h.call("POST", "/models/activate", {"id": name})
            assert (status, answer["code"]) == (422, "unprocessable"), name
            assert "of the entry has no `" in answer["detail"]


async def test_a_defect_while_a_model_is_prepared_fails_the_attempt_and_not_the_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, "good", "poison")
    check = LocalPlatform.check

    async def stumble(self: LocalPlatform, manifest: Any) -> None:
        if manifest["metadata"]["labels"]["model-manager/model-id"] == "poison":
            raise KeyError("mountPath")
        await check(self, manifest)

    monkeypatch.setattr(LocalPlatform, "check", stumble)
    async with open_house(house_settings(tmp_path)) as h:
        await h.active("good")
        failed = await h.ended(await h.activate("poison"))
        assert (failed.result, failed.code) == ("failed", "internal")
        assert "(KeyError)" in failed.reason
        await h.serves("good")


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A platform that takes an object in a dry run, and refuses each real one from when `applies` is set."""
    apply, refuses = LocalPlatform.apply, {"applies": False}

    async def refuse(self: LocalPlatform, manifest: Any) -> None:
        if refuses["applies"]:
            raise Forbidden("This service may not patch inferenceservices.")
        await apply(self, manifest)

    monkeypatch.setattr(LocalPlatform, "apply", refuse)
    return refuses


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_model_that_serves_outlives_the_refusal_of_its_successor(
    tmp_path: Path, refusing: dict[str, bool], forgotten: bool
) -> None:
    """Also where it is on no record as the last good one: a failure is no wish for nothing."""
    prepare(tmp_path, "good", "bad")
    async with open_house(house_settings(tmp_path)) as h:
        await h.active("good")
        (before,) = (await h.parts.platform.observe("active-llm")).instances
        if forgotten:
            await h.parts.database.write(lambda txn: ledger.forget_last_good(txn, "active-llm"))
        refusing["applies"] = True
        failed = await h.ended(await h.activate("bad"))
        assert (failed.result, failed.code) == ("failed", "forbidden")
        assert failed.reason == "This service may not patch inferenceservices."

        async def goes_on() -> bool:
            slot = await commands.get_slot(h.parts, "active-llm")
            wanted = slot.desired
            return wanted is not None and ("active", "good", wanted.id) == (
                slot.state, wanted.model_id, slot.last_good,
            )  # fmt: skip

        await until(goes_on)
        assert (await h.parts.platform.observe("active-llm")).instances[0].run == before.run
        assert (await h.chat())[1]["model"] == "good"


async def waiting_for_one_job(h: House) -> tuple[str, str]:
    """Two slots that wait for one install, which does not begin: their activations."""
    h.parts.jobs._concurrency = 0
    first, second = await h.activate("a"), await h.activate("a", "second")

    async def both_wait() -> bool:
        found = [await commands.get_activation(h.parts, one.id) for one in (first, second)]
        return len({one.job_id for one in found} - {None}) == 1 and all(one.job_id for one in found)

    await until(both_wait)
    return first.id, second.id


async def test_cancelling_one_attempt_leaves_the_install_to_the_other(tmp_path: Path) -> None:
    prepare(tmp_path, "a")
    async with open_house(house_settings(tmp_path, slots=("second",))) as h:
        first, second = await waiting_for_one_job(h)
        cancelled = await commands.cancel_activation(h.parts, first, "test")
        assert cancelled.result == "cancelled"
        assert cancelled.job_id is not None
        assert (await h.parts.jobs.get(cancelled.job_id)).status == "pending"
        h.parts.jobs._concurrency = 2
        h.parts.jobs._wake.set()
        found = await commands.wait_activation(h.parts, second, 20)
        assert found.result == "active", found.reason


async def test_cancelling_the_last_attempt_ends_the_install(tmp_path: Path) -> None:
    prepare(tmp_path, "a")
    async with open_house(house_settings(tmp_path, slots=("second",))) as h:
        for one in await waiting_for_one_job(h):
            cancelled = await commands.cancel_activation(h.parts, one, "test")
        assert cancelled.job_id is not None
        assert (await h.parts.jobs.get(cancelled.job_id)).status == "cancelled"


async def test_a_slot_that_is_not_declared_any_more_holds_no_weights(tmp_path: Path) -> None:
    prepare(tmp_path, "a")
    async with open_house(house_settings(tmp_path, slots=("second",))) as h:
        await h.active("a", "second")
        with pytest.raises(Conflict, match="used by slot second"):
            await commands.delete_weights(h.parts, "a", "test")
    async with open_house(house_settings(tmp_path)) as h:
        await commands.delete_weights(h.parts, "a", "test")
    async with open_house(house_settings(tmp_path, slots=("second",))) as h:  # back: it wants what it wanted
        assert "a" in await commands.weights_in_use(h.parts)
