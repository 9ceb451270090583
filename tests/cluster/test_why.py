"""Why a slot serves or does not, asked of the service while the real cluster is in trouble."""

from pathlib import Path
from typing import Any

import pytest
from testcluster import Cluster, Namespace

from tests.cluster.ground import is_ready, pod_when
from tests.cluster.house import house, prepare
from tests.house import House

WHY = "/slots/active-llm/why"


@pytest.fixture
async def ground(namespace: Namespace, tmp_path: Path) -> Path:
    await prepare(namespace, tmp_path, {"good": "well", "other": "well"})
    return tmp_path


async def asked(namespace: Namespace, h: House, code: str) -> dict[str, Any]:
    """The answer as soon as it has this code."""
    causes: dict[str, None] = {}

    async def look() -> dict[str, Any] | None:
        status, found = await h.call("GET", WHY)
        assert status == 200
        causes[found["cause"]] = None
        return found if found["code"] == code else None

    try:
        found: dict[str, Any] = await namespace.wait(look)
    except AssertionError as late:
        raise AssertionError(f"{code} was not said, but: {list(causes)}") from late
    return found


async def hold_the_gpu(namespace: Namespace) -> None:
    """A pod of somebody else's."""
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "theirs", "image": "test.invalid/model-server", "resources": resources}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    await namespace.api.create("pods", {"metadata": {"name": "holder"}, "spec": spec}, namespace.name)

    async def bound() -> bool:
        return bool((await namespace.api.get("pods", "holder", namespace.name))["spec"].get("nodeName"))

    await namespace.wait(bound)


async def test_no_free_gpu_is_the_cause_and_who_may_look_sees_how_many_there_are(
    namespace: Namespace, ground: Path
) -> None:
    await hold_the_gpu(namespace)
    async with house(namespace, ground) as h:
        await h.activate("good")
        found = await asked(namespace, h, "gpu_missing")
        assert "Insufficient nvidia.com/gpu" in found["cause"]
        assert found["next"].startswith("Stop what holds it")
        (pod,) = found["evidence"]["pods"]
        assert ("PodScheduled", "False") in [(one["type"], one["status"]) for one in pod["conditions"]]
        assert "FailedScheduling" in [event["reason"] for event in found["evidence"]["events"]]

        async def counted() -> bool:
            _, found = await h.call("GET", WHY)
            gpu = {"place": "gpu-1", "resource": "nvidia.com/gpu", "total": 1, "free": 0}
            return gpu in found["evidence"]["capacity"] and not found["evidence"]["unknown"]

        await namespace.wait(counted)
        await namespace.api.delete("pods", "holder", namespace.name, {"gracePeriodSeconds": 1})
        await h.serves("good", timeout=30)
        assert (await h.call("GET", WHY))[1]["code"] == "serving"


async def test_a_probe_that_fails_is_told_at_once_and_kept_with_the_failure(
    namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground, activation_timeout=6.0) as h:
        await h.active("good")
        namespace.fail("never-ready", model_manager__model_id="other")
        activation = await h.activate("other")
        found = await asked(namespace, h, "not_ready")
        assert "probe fails" in found["cause"]
        assert found["activation"] == activation.id
        await h.ended(activation, 40)
        await h.serves("good", timeout=60)
        found = await asked(namespace, h, "never_ready")
        assert found["cause"].startswith("other failed: The model server was not ready within")
        assert "good serves instead." in found["cause"]
        (pod,) = [pod for pod in found["evidence"]["pods"] if pod["activation"] == activation.id]
        assert not pod["ready"], "as it was when it failed"
        assert "Unhealthy" in [event["reason"] for event in found["evidence"]["events"]]


async def test_a_lost_node_is_the_cause_of_a_model_that_stopped_serving(
    cluster: Cluster, namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        cluster.nodes.lose("gpu-1")
        try:
            await pod_when(namespace, lambda pod: not is_ready(pod), 60)
            found = await asked(namespace, h, "node_lost")
            assert "The node gpu-1 does not answer." in found["cause"]
            assert found["serving"] is None
            assert "NodeNotReady" in [event["reason"] for event in found["evidence"]["events"]]
        finally:
            cluster.nodes.bring_back("gpu-1")
        await h.serves("good", timeout=60)
