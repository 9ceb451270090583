"""A switch that fails on a cluster with one GPU: nothing is stopped for what can never start, the rest is restored."""

import copy
from pathlib import Path
from typing import Any

import pytest
from testcluster import Namespace
from testcluster.api import Object

from tests.cluster.accounts import CLUSTER_RIGHTS, may_read_the_cluster
from tests.cluster.ground import SLOT
from tests.cluster.house import house, prepare, uids, unscheduled

GPU = {"nvidia.com/gpu": "1"}
REFUSED: dict[str, dict[str, Any]] = {
    "runtime-missing": {"runtime": "absent"},
    "claim-missing": {"storageUri": "pvc://absent/x"},
    "claim-unbound": {"storageUri": "pvc://unbound/x"},
    "weights-missing": {"storageUri": "pvc://weights/absent", "source": None},
    "secret-missing": {"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k"}}}]},
    "too-many-gpus": {"resources": {"limits": {"nvidia.com/gpu": "2"}}},
    "node-missing": {"nodeSelector": {"kubernetes.io/hostname": "absent"}},
    "key-missing": {
        "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "there", "key": "absent"}}}]
    },
    "port-without-a-name": {"runtime": "two-ports"},
}
"""What can be known before the old model is stopped, and the entries that have it."""

SAID = {
    "runtime-missing": ("runtime_missing", "absent"),
    "claim-missing": ("claim_missing", "volume claim absent does not exist"),
    "claim-unbound": ("claim_unbound", "volume claim unbound is not bound"),
    "weights-missing": ("", "No weights of weights-missing are installed"),
    "secret-missing": ("secret_missing", "secret absent does not exist"),
    "too-many-gpus": ("no_node", "nvidia.com/gpu"),
    "node-missing": ("no_node", "No node of the cluster could ever hold the model"),
    "key-missing": ("key_missing", "The secret there in the namespace"),
    "port-without-a-name": ("runtime_unfit", "its ports 9000 have no name"),
}
"""The code of each (of the weights' it is the installer's) and what is told of it."""

CAUSES = {
    "image-pull": "image_missing", "crash": "ended", "oom:start": "out_of_memory", "never-ready": "never_ready",
}  # fmt: skip
"""What is ordered of the new model's pod, and the cause that is told."""


async def test_what_can_never_start_is_refused_with_its_cause_before_anything_is_stopped(
    namespace: Namespace, tmp_path: Path
) -> None:
    await prepare(namespace, tmp_path, dict.fromkeys(("good", *REFUSED), "well"), **REFUSED)
    await namespace.claim("unbound", bound=False)
    await namespace.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there"}, "stringData": {"k": "v"}}
    )
    ports = copy.deepcopy(await namespace.api.get("servingruntimes", "well", namespace.name))
    ports["metadata"] = {"name": "two-ports", "annotations": ports["metadata"].get("annotations", {})}
    ports["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}, {"containerPort": 9000}]
    await namespace.apply(ports)
    async with house(namespace, tmp_path) as h:
        await h.active("good")
        before = await uids(namespace)
        for model in REFUSED:
            failed = await h.ended(await h.activate(model))
            assert failed.result in ("failed", "restored")
            code, said = SAID[model]
            assert said in failed.reason
            assert failed.code == code or not code
            assert await uids(namespace) == before, f"{model}: what serves was stopped for it"
            assert (await h.chat())[1]["model"] == "good"


async def test_a_missing_runtime_that_may_not_be_looked_for_is_found_out_and_the_old_model_stays(
    namespace: Namespace, tmp_path: Path
) -> None:
    await prepare(namespace, tmp_path, {"good": "well", "absent": "absent"})
    kept = [rule for rule in CLUSTER_RIGHTS if "clusterservingruntimes" not in rule["resources"]]
    await may_read_the_cluster(namespace, kept)
    async with house(namespace, tmp_path) as h:
        await h.active("good")
        failed = await h.ended(await h.activate("absent"), 30)
        assert failed.code == "runtime_missing", failed.reason
        await h.serves("good", timeout=40)
        assert (await h.chat())[1]["model"] == "good"


@pytest.mark.parametrize("failure", CAUSES)
async def test_a_failed_switch_is_restored_with_its_cause(
    namespace: Namespace, tmp_path: Path, failure: str
) -> None:
    await prepare(namespace, tmp_path, {"good": "well", "other": "well"})
    async with house(namespace, tmp_path, activation_timeout=10.0) as h:
        await h.active("good")
        namespace.fail(failure, model_manager__model_id="other")
        failed = await h.ended(await h.activate("other"), 60)
        assert failed.code == CAUSES[failure], failed.reason
        assert failed.reason
        await h.serves("good", timeout=40)
        assert (await h.chat())[1]["model"] == "good"
        assert len(await namespace.pods()) == 1


@pytest.mark.parametrize(
    ("failure", "uri", "code"),
    [("init-crash", "hf://test/some", "fetch_failed"), ("", "hf://nobody/nothing", "source_missing")],
    ids=["init-crash", "repository-missing"],
)
async def test_weights_that_kserve_cannot_fetch_are_restored_from_with_their_cause(
    namespace: Namespace, tmp_path: Path, failure: str, uri: str, code: str
) -> None:
    hub = namespace.cluster.nodes.hub / "test" / "some"
    hub.mkdir(parents=True, exist_ok=True)
    await prepare(
        namespace, tmp_path, {"good": "well", "other": "well"}, other={"storageUri": uri, "source": None}
    )
    async with house(namespace, tmp_path) as h:
        await h.active("good")
        if failure:
            namespace.fail(failure, model_manager__model_id="other")
        failed = await h.ended(await h.activate("other"), 60)
        assert failed.code == code, failed.reason
        await h.serves("good", timeout=40)


async def test_a_gpu_that_another_pod_took_meanwhile_is_named_and_the_old_model_is_back_with_it(
    namespace: Namespace, tmp_path: Path
) -> None:
    """It waits in front of the service's own pod, so the scheduler gives it the GPU as soon as the old model ends."""
    await prepare(namespace, tmp_path, {"good": "well", "other": "well"})
    async with house(namespace, tmp_path, activation_timeout=10.0) as h:
        await h.active("good")
        await namespace.apply(TAKER)
        await namespace.wait(lambda: unscheduled(namespace, "taker"))
        failed = await h.ended(await h.activate("other"), 60)
        assert failed.code == "gpu_missing", failed.reason
        assert "nvidia.com/gpu" in failed.reason
        await namespace.api.delete("pods", "taker", namespace.name, {"gracePeriodSeconds": 1})
        await h.serves("good", timeout=40)
        isvc = await namespace.isvc(SLOT)
        assert isvc is not None


TAKER: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "taker"},
    "spec": {
        "containers": [
            {
                "name": "main",
                "image": "test.invalid/model-server",
                "command": ["sleep", "600"],
                "resources": {"limits": GPU},
            }
        ]
    },
}
