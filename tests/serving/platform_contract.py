"""What every platform must do. A test file derives from `PlatformContract` and gives it a `platform` fixture.

The runtimes of `ground.RUNTIMES` must be known to the platform, and behave as they are called.
"""

import asyncio

import pytest

from model_manager.errors import ModelManagerError
from model_manager.serving.platform import Observed, Platform
from tests.serving import ground
from tests.serving.ground import SLOT, manifest


class PlatformContract:
    async def test_an_absent_name_is_empty_and_no_error(self, platform: Platform) -> None:
        assert await platform.observe("nobody") == Observed()
        assert await platform.logs("nobody", 10) == []
        await platform.delete("nobody")

    async def test_check_refuses_what_can_never_run_and_changes_nothing(self, platform: Platform) -> None:
        with pytest.raises(ModelManagerError) as refused:
            await platform.check(manifest("no-such-runtime"))
        assert refused.value.sentence.endswith(".")
        assert refused.value.hint
        await platform.check(manifest())
        assert (await platform.observe(SLOT)).empty

    async def test_apply_starts_one_ready_instance(self, platform: Platform) -> None:
        await platform.apply(manifest(activation="a"))
        instance = await ground.ready(platform)
        assert (instance.state, instance.activation, instance.restarts) == ("running", "a", 0)
        assert instance.url
        assert len((await platform.observe(SLOT)).instances) == 1

    async def test_what_people_would_look_at_is_shown(self, platform: Platform) -> None:
        assert (await platform.evidence("nobody")).pods == ()
        await platform.apply(manifest(activation="a"))
        instance = await ground.ready(platform)
        shown = (await platform.evidence(SLOT)).pods
        assert [(one.name, one.activation, one.ready) for one in shown] == [(instance.name, "a", True)]

    async def test_apply_again_changes_nothing(self, platform: Platform) -> None:
        await platform.apply(manifest())
        before = await ground.ready(platform)
        await platform.apply(manifest())
        for _ in range(3):
            await asyncio.sleep(0)
        after = await ground.ready(platform)
        assert (before.name, before.url) == (after.name, after.url)

    async def test_verbs_do_not_wait_for_their_effect(self, platform: Platform) -> None:
        async with asyncio.timeout(10):  # whoever waits for this server waits for ever
            await platform.apply(manifest("never-ready"))
            assert not any(one.ready for one in (await platform.observe(SLOT)).instances)
            await platform.delete(SLOT)

    async def test_another_manifest_starts_only_when_the_old_one_is_gone(self, platform: Platform) -> None:
        await platform.apply(manifest("slow-to-stop", activation="a"))
        await ground.ready(platform)
        seen: list[Observed] = []

        def note(slot: str) -> None:
            noting.add(asyncio.ensure_future(look(slot)))

        async def look(slot: str) -> None:
            seen.append(await platform.observe(slot))

        noting: set[asyncio.Future[None]] = set()
        platform.on_change(note)
        await platform.apply(manifest(activation="b"))
        await ground.instance_when(platform, lambda one: one.activation == "b" and one.ready)
        await asyncio.gather(*noting)
        assert all(len(one.instances) <= 1 for one in seen)
        order = [instance.activation for one in seen for instance in one.instances]
        assert order == sorted(order)
        assert {one.activation for one in seen} == {"b"}, "what is applied is the new one at once"

    async def test_of_several_in_quick_succession_the_last_one_runs(self, platform: Platform) -> None:
        for activation in ("a", "b", "c"):
            await platform.apply(manifest(activation=activation))
        # A cluster may have the first one's pod ready before its controllers hear of the last one.
        await ground.instance_when(platform, lambda one: one.activation == "c" and one.ready)
        observed = await platform.observe(SLOT)
        assert observed.activation == "c"
        assert [one.activation for one in observed.instances] == ["c"]

    async def test_delete_ends_in_an_empty_slot_and_may_be_repeated(self, platform: Platform) -> None:
        await platform.apply(manifest("slow-to-stop"))
        await ground.ready(platform)
        await platform.delete(SLOT)
        instance = await ground.instance_when(platform, lambda one: one.state == "stopping")
        assert not instance.ready, "it is told to stop, and still there"
        assert (await platform.observe(SLOT)).activation is None
        await platform.delete(SLOT)
        await ground.empty(platform)

    async def test_never_ready_is_running_and_not_ready(self, platform: Platform) -> None:
        await platform.apply(manifest("never-ready"))
        instance = await ground.instance_when(platform, lambda one: one.state == "running")
        assert not instance.ready
        assert not instance.gave_up

    async def test_p7_a_crash_is_counted_told_and_given_up(self, platform: Platform) -> None:
        await platform.apply(manifest("crashes"))
        instance = await ground.instance_when(platform, lambda one: one.gave_up)
        assert (instance.state, instance.ready, instance.exit_code) == ("exited", False, 137)
        assert instance.restarts >= 2
        assert "137" in instance.reason

    async def test_after_giving_up_another_manifest_is_tried(self, platform: Platform) -> None:
        await platform.apply(manifest("crashes", activation="a"))
        await ground.instance_when(platform, lambda one: one.gave_up)
        await platform.apply(manifest(activation="b"))
        instance = await ground.ready(platform)
        assert (instance.activation, instance.restarts, instance.exit_code) == ("b", 0, None)

    async def test_slots_do_not_touch_each_other(self, platform: Platform) -> None:
        await platform.apply(manifest(slot="one"))
        await platform.apply(manifest(slot="two"))
        first, second = await ground.ready(platform, "one"), await ground.ready(platform, "two")
        assert first.url != second.url
        await platform.delete("one")
        await ground.empty(platform, "one")
        assert await ground.ready(platform, "two") == second

    async def test_changes_are_called_back_with_the_slots_name(self, platform: Platform) -> None:
        called: list[str] = []
        platform.on_change(called.append)
        await platform.apply(manifest())
        await ground.ready(platform)
        assert called
        assert set(called) == {SLOT}
        before = len(called)
        await platform.delete(SLOT)
        await ground.empty(platform)
        assert len(called) > before

    async def test_logs_are_the_last_lines_oldest_first(self, platform: Platform) -> None:
        await platform.apply(manifest("crashes"))
        await ground.instance_when(platform, lambda one: one.gave_up)
        assert await platform.logs(SLOT, 1) == ["going away as told"]
        assert await platform.logs(SLOT, 0) == []
        assert len(await platform.logs(SLOT, 2)) in (1, 2), "a cluster keeps the lines of one run"
