"""Each failure that can be ordered looks as it does on a cluster: in pods, events and the InferenceService."""

import pytest
from testcluster import Cluster, Namespace

from tests.cluster.ground import (
    activation_of,
    chat,
    condition,
    demo_ground,
    events_when,
    is_ready,
    isvc,
    isvc_when,
    last_end,
    pod_when,
    start,
    waiting,
)


@pytest.fixture(autouse=True)
async def ground(namespace: Namespace) -> None:
    await demo_ground(namespace)


async def test_too_few_gpus_is_unschedulable_with_the_resource_named(namespace: Namespace) -> None:
    await namespace.apply(isvc(gpus=2))
    pod = await pod_when(namespace, lambda one: condition(one, "PodScheduled").get("status") == "False")
    assert "Insufficient nvidia.com/gpu" in condition(pod, "PodScheduled")["message"]
    await events_when(namespace, "FailedScheduling")


async def test_a_node_that_lost_its_gpu_is_no_place_for_a_pod(cluster: Cluster, namespace: Namespace) -> None:
    cluster.nodes.set_gpus("gpu-1", 0)
    try:
        await namespace.wait(lambda: _gpus(namespace, "0"))
        await namespace.apply(isvc())
        await pod_when(namespace, lambda one: condition(one, "PodScheduled").get("status") == "False")
    finally:
        cluster.nodes.set_gpus("gpu-1", 1)
        await namespace.wait(lambda: _gpus(namespace, "1"))


async def _gpus(namespace: Namespace, gpus: str) -> bool:
    node = await namespace.api.get("nodes", "gpu-1")
    return bool(node["status"]["allocatable"]["nvidia.com/gpu"] == gpus)


@pytest.mark.parametrize("claim", ["absent", "unbound"])
async def test_a_claim_that_is_not_there_is_named(namespace: Namespace, claim: str) -> None:
    if claim == "unbound":
        await namespace.claim("unbound", bound=False)
    await namespace.apply(isvc(uri=f"pvc://{claim}/demo"))
    pod = await pod_when(namespace, lambda one: condition(one, "PodScheduled").get("status") == "False")
    assert "persistentvolumeclaim" in condition(pod, "PodScheduled")["message"].lower()


async def test_a_folder_that_is_not_in_the_claim_is_a_config_error(namespace: Namespace) -> None:
    await namespace.apply(isvc(uri="pvc://weights/nope"))
    pod = await pod_when(namespace, lambda one: waiting(one) == "CreateContainerConfigError")
    assert "subPath" in pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_an_image_that_cannot_be_pulled(namespace: Namespace) -> None:
    namespace.fail("image-pull")
    await namespace.apply(isvc())
    await pod_when(namespace, lambda one: waiting(one) == "ErrImagePull")
    await pod_when(namespace, lambda one: waiting(one) == "ImagePullBackOff")
    await events_when(namespace, "Pulling", "Failed", "BackOff")
    namespace.heal()
    await pod_when(namespace, is_ready)


async def test_a_crash_at_start_is_a_loop_that_the_isvc_may_not_tell(namespace: Namespace) -> None:
    """KServe looks at the pod when the Deployment changes: in the loop by then, or still in its first run.

    Of 14 crash loops here it reported 5 (BlockedByFailedLoad); 9 were InProgress for as long as they were watched.
    """
    await namespace.apply(isvc(args=("--no-such-flag",)))
    pod = await pod_when(namespace, lambda one: waiting(one) == "CrashLoopBackOff")
    assert last_end(pod)["exitCode"] == 2
    assert "--no-such-flag" in last_end(pod)["message"]
    await events_when(namespace, "BackOff")
    previous = await namespace.api.log(pod["metadata"]["name"], namespace.name, previous="true")
    assert "--no-such-flag" in previous
    found = await isvc_when(namespace, lambda one: "modelStatus" in one.get("status", {}))
    assert found["status"]["modelStatus"]["transitionStatus"] in ("InProgress", "BlockedByFailedLoad")
    assert not is_ready(found)


async def test_out_of_memory_is_137_and_comes_back(namespace: Namespace) -> None:
    await start(namespace)
    namespace.fail("oom")
    pod = await pod_when(namespace, lambda one: last_end(one).get("reason") == "OOMKilled")
    assert last_end(pod)["exitCode"] == 137
    namespace.heal()
    again = await pod_when(namespace, is_ready)
    assert again["status"]["containerStatuses"][0]["restartCount"] >= 1


async def test_an_initializer_that_fails_is_told_by_the_isvc(namespace: Namespace) -> None:
    await namespace.apply(isvc(uri="hf://nobody/nothing"))
    pod = await pod_when(namespace, lambda one: waiting(one, "initContainerStatuses") == "CrashLoopBackOff")
    assert "Repository Not Found" in last_end(pod, "initContainerStatuses")["message"]
    found = await isvc_when(namespace, lambda one: "lastFailureInfo" in one["status"].get("modelStatus", {}))
    assert found["status"]["modelStatus"]["lastFailureInfo"]["reason"] == "ModelLoadFailed"


async def test_what_the_initializer_fetches_is_served(cluster: Cluster, namespace: Namespace) -> None:
    (cluster.nodes.hub / "test").mkdir(parents=True, exist_ok=True)
    source = cluster.nodes.volumes / namespace.name / "weights" / "demo"
    (cluster.nodes.hub / "test" / "demo").symlink_to(source)
    assert "demo model" in await chat(await start(namespace, isvc(uri="hf://test/demo")))


async def test_a_pod_that_is_never_ready(namespace: Namespace) -> None:
    namespace.fail("never-ready")
    await namespace.apply(isvc())
    await events_when(namespace, "Unhealthy")
    (pod,) = await namespace.pods()
    assert pod["status"]["phase"] == "Running"
    assert not is_ready(pod)


async def test_readiness_is_lost_later_and_comes_back(namespace: Namespace) -> None:
    await start(namespace)
    namespace.fail("never-ready")
    await pod_when(namespace, lambda one: not is_ready(one))
    await isvc_when(namespace, lambda one: not is_ready(one))
    namespace.heal()
    pod = await pod_when(namespace, is_ready)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_an_evicted_pod_stays_failed_and_another_takes_its_place(namespace: Namespace) -> None:
    pod = await start(namespace)
    name = pod["metadata"]["name"]
    note = {"metadata": {"annotations": {"test-node/fail": "evict"}}}
    await namespace.api.patch("pods", name, note, namespace.name)
    await pod_when(namespace, lambda one: one["status"].get("reason") == "Evicted")
    other = await pod_when(namespace, lambda one: is_ready(one) and one["metadata"]["name"] != name)
    assert "demo model" in await chat(other)


async def test_a_lost_node_is_noticed_and_when_it_is_back_so_is_the_pod(
    cluster: Cluster, namespace: Namespace
) -> None:
    pod = await start(namespace)
    cluster.nodes.lose("gpu-1")
    try:
        await pod_when(namespace, lambda one: not is_ready(one))
        assert "demo model" in await chat(pod), "it still runs: only nobody hears of it"
    finally:
        cluster.nodes.bring_back("gpu-1")
    back = await pod_when(namespace, is_ready)
    assert activation_of(back) == "a1"
