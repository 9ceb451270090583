"""The whole service on the real control plane: activate, chat, switch, fail and restore, lose the state, adopt."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from testcluster import Namespace

from model_manager import commands
from tests.cluster.test_platform import RIGHTS
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

MODELS = {"good": "well", "other": "well", "bad": "crashing"}


def of_image(document: dict[str, Any]) -> dict[str, Any]:
    """The scripted server as an image, listening on its pod's address."""
    container = document["spec"]["containers"][0]
    del container["command"]
    container["image"] = "test.invalid/model-server"
    container["args"] = ["--host=$(POD_IP)", *container["args"][1:]]
    container["env"] = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    container["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    return document


@asynccontextmanager
async def house(namespace: Namespace, folder: Path, state: str = "state") -> AsyncIterator[House]:
    """A service outside of the cluster whose weights' folder is the claim."""
    settings = house_settings(
        folder, platform="kserve", kubeconfig=folder / "kubeconfig", namespace=namespace.name,
        weights_path=namespace.cluster.nodes.volumes / namespace.name / "weights", weights_pvc_name="weights",
        state_path=folder / state, activation_timeout=30.0, default_runtime="well",
    )  # fmt: skip
    async with open_house(settings) as opened:
        yield opened


@pytest.fixture
async def ground(namespace: Namespace, tmp_path: Path) -> Path:
    runtimes = [of_image(runtime("well")), of_image(runtime("crashing", "exit:3"))]
    write_runtimes(tmp_path / "runtimes", runtimes)
    write_catalog(tmp_path / "catalog", MODELS)
    for document in runtimes:
        await namespace.apply(document)
    await namespace.claim("weights")
    shutil.copy(await namespace.account("model-manager", RIGHTS), tmp_path / "kubeconfig")
    return tmp_path


async def pods(namespace: Namespace) -> list[str]:
    return [pod["metadata"]["uid"] for pod in await namespace.pods()]


async def gone(namespace: Namespace, h: House) -> None:
    """The garbage collector of a cluster that was just started looks for new kinds every 30 s only."""
    await h.serves(None, timeout=60)

    async def so() -> bool:
        return await namespace.isvc() is None

    await namespace.wait(so, 60)


async def test_install_activate_chat_switch_and_deactivate(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        assert (await h.chat())[1]["model"] == "good"
        await h.active("other")
        assert (await h.chat())[1]["model"] == "other"
        assert len(await namespace.pods()) == 1
        await commands.deactivate(h.parts, actor="test")
        await gone(namespace, h)
        assert await namespace.pods() == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [("image-pull", "image_missing"), ("crash", "ended"), ("oom:start", "out_of_memory")],
)
async def test_a_failed_switch_is_restored_with_its_cause(
    namespace: Namespace, ground: Path, failure: str, code: str
) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        namespace.fail(failure, model_manager__model_id="other")
        failed = await h.ended(await h.activate("other"), 60)
        assert (failed.code, failed.reason.endswith(".")) == (code, True), failed.reason
        await h.serves("good", timeout=40)
        assert (await h.chat())[1]["model"] == "good"


async def test_a_restart_and_a_lost_state_never_touch_the_pod(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        activation = await h.active("good")
        before = await pods(namespace)
    async with house(namespace, ground) as h:
        await h.serves("good")
    async with house(namespace, ground, state="another") as h:
        await h.serves("good")
        slot = await commands.get_slot(h.parts, "active-llm")
        assert slot.desired is not None
        assert slot.desired.id == activation.id
        assert await pods(namespace) == before
        assert (await h.chat())[1]["model"] == "good"


async def test_what_others_made_is_taken_over_by_command(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        theirs = await commands.active_object(h.parts)
        assert theirs is not None
        await commands.deactivate(h.parts, actor="test")
        await gone(namespace, h)
        for labels in (theirs["metadata"]["labels"], theirs["spec"]["predictor"]["labels"]):
            labels.pop("model-manager/activation")
        await namespace.apply(theirs, manager="kubectl")
        refused = await h.ended(await h.activate("good"))
        assert "was made by kubectl, not by this service" in refused.reason
        before = await namespace.wait(lambda: pods(namespace))
        status, adopted = await h.call("POST", "/slots/active-llm/adopt", {})
        assert (status, adopted["modelId"]) == (202, "good")
        await h.serves("good")
        assert await pods(namespace) == before
        await h.active("other")
        assert (await h.chat())[1]["model"] == "other"


async def test_drift_is_put_back_and_told(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        change = {"spec": {"predictor": {"model": {"args": ["--alias=good", "--x=1"]}}}}
        await namespace.api.patch("inferenceservices", "active-llm", change, namespace.name)

        async def told() -> bool:
            return any(event.kind == "object_drifted" for event in await h.parts.events.page(limit=1000))

        async def back() -> bool:
            found = await namespace.isvc()
            return found is not None and "--x=1" not in found["spec"]["predictor"]["model"].get("args", [])

        await namespace.wait(told)
        await namespace.wait(back)
        await h.serves("good")
