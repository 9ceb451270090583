"""The whole service on the real control plane: activate, chat, switch, lose the state, adopt, delete."""

from pathlib import Path

import pytest
import yaml
from testcluster import Namespace

from model_manager import commands
from tests.cluster.ground import RUNTIME, SLOT, isvc_when, pod_when
from tests.cluster.house import house, nothing_left, prepare, uids, with_gpu

CATALOG = Path(__file__).parents[2] / "examples" / "catalog"


@pytest.fixture
async def ground(namespace: Namespace, tmp_path: Path) -> Path:
    await prepare(namespace, tmp_path, {"good": "well", "other": "well"})
    return tmp_path


async def test_the_demo_model_is_installed_activated_and_chatted_with_then_the_pirate_on_the_same_gpu(
    namespace: Namespace, ground: Path
) -> None:
    """The product's own runtime and engine, and its catalog of examples."""
    await namespace.apply(with_gpu(yaml.safe_load(RUNTIME.read_text())))
    async with house(namespace, ground, catalog_root=CATALOG) as h:
        for model, said in (("demo", "demo model"), ("demo-pirate", "pirate")):
            status, activated = await h.call("POST", "/models/activate?wait=60", {"id": model})
            assert status == 200, activated
            ask = {"model": SLOT, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 60}
            status, answer = await h.call("POST", "/v1/chat/completions", ask | {"temperature": 0})
            assert status == 200
            assert said in answer["choices"][0]["message"]["content"]
            assert len(await namespace.pods()) == 1


async def test_a_deactivated_slot_leaves_nothing_on_the_cluster(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        await commands.deactivate(h.parts, actor="test")
        await nothing_left(namespace, h)


async def test_a_finalizer_that_holds_a_deletion_is_named_and_the_next_model_waits_for_it(
    namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        held = {"metadata": {"finalizers": ["example.org/held"]}}
        await namespace.api.patch("inferenceservices", SLOT, held, namespace.name)
        await commands.deactivate(h.parts, actor="test")
        await isvc_when(namespace, lambda one: "deletionTimestamp" in one["metadata"])

        async def named() -> bool:
            trouble = (await h.parts.platform.observe(SLOT)).trouble
            return trouble is not None and "held by example.org/held" in trouble.sentence

        await namespace.wait(named)
        activation = await h.activate("other")
        await namespace.api.patch(
            "inferenceservices", SLOT, {"metadata": {"finalizers": None}}, namespace.name
        )
        assert (await h.ended(activation)).result == "active"


async def test_what_others_delete_is_made_again(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        activation = await h.active("good")
        before = await uids(namespace)
        await namespace.api.delete("inferenceservices", SLOT, namespace.name)
        await pod_when(namespace, lambda pod: pod["metadata"]["uid"] not in before)
        await h.serves("good")
        slot = await commands.get_slot(h.parts, SLOT)
        assert slot.desired is not None
        assert slot.desired.id == activation.id, "it is the same wish still"


async def test_an_evicted_pod_is_replaced_and_served_again(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        (pod,) = await namespace.pods()
        note = {"metadata": {"annotations": {"test-node/fail": "evict"}}}
        await namespace.api.patch("pods", pod["metadata"]["name"], note, namespace.name)
        await pod_when(namespace, lambda one: one["metadata"]["uid"] != pod["metadata"]["uid"])
        await h.serves("good")
        assert (await h.chat())[1]["model"] == "good"


async def test_a_model_that_is_killed_for_memory_while_it_serves_is_told_and_served_again(
    namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        namespace.fail("oom")

        async def told() -> bool:
            ends = [
                event.data
                for event in await h.parts.events.page(limit=1000)
                if event.kind == "model_server_ended"
            ]
            return any(end["exitCode"] == 137 and "OOMKilled" in end["reason"] for end in ends)

        await namespace.wait(told)
        namespace.heal()
        await h.serves("good")
        assert (await h.chat())[1]["model"] == "good"


async def test_requests_stop_while_a_pod_is_not_ready_and_come_again_with_it(
    namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground, switch_wait=0.0) as h:
        await h.active("good")
        before = await uids(namespace)
        namespace.fail("never-ready")

        async def closed() -> bool:
            return (await commands.get_slot(h.parts, SLOT)).serving is None

        await namespace.wait(closed)
        assert (await h.chat())[0] == 503
        namespace.heal()
        await h.serves("good")
        assert await uids(namespace) == before


async def test_a_restart_and_a_lost_state_never_touch_the_pod(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        activation = await h.active("good")
        before = await uids(namespace)
    async with house(namespace, ground) as h:
        await h.serves("good")
    async with house(namespace, ground, state="another") as h:
        await h.serves("good")
        slot = await commands.get_slot(h.parts, SLOT)
        assert slot.desired is not None
        assert slot.desired.id == activation.id
        assert await uids(namespace) == before
        assert (await h.chat())[1]["model"] == "good"


async def test_what_others_made_is_adopted_by_command_without_restarting_its_pod(
    namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        theirs = await commands.active_object(h.parts)
        assert theirs is not None
        await commands.deactivate(h.parts, actor="test")
        await nothing_left(namespace, h)
        for labels in (theirs["metadata"]["labels"], theirs["spec"]["predictor"]["labels"]):
            labels.pop("model-manager/activation")
        await namespace.apply(theirs, manager="kubectl")
        refused = await h.ended(await h.activate("good"))
        assert "was made by kubectl, not by this service" in refused.reason
        before = await namespace.wait(lambda: uids(namespace))
        status, adopted = await h.call("POST", f"/slots/{SLOT}/adopt", {})
        assert (status, adopted["modelId"]) == (202, "good")
        await h.serves("good")
        assert await uids(namespace) == before
        await h.active("other")
        assert (await h.chat())[1]["model"] == "other"


async def test_drift_is_put_back_and_told(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        change = {"spec": {"predictor": {"model": {"args": ["--alias=good", "--x=1"]}}}}
        await namespace.api.patch("inferenceservices", SLOT, change, namespace.name)

        async def told() -> bool:
            return any(event.kind == "object_drifted" for event in await h.parts.events.page(limit=1000))

        await namespace.wait(told)
        await isvc_when(
            namespace, lambda one: "--x=1" not in one["spec"]["predictor"]["model"].get("args", [])
        )
        await h.serves("good")
