"""The whole service on a cluster: what its tests stand on."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from testcluster import Namespace
from testcluster.api import Object

from tests.cluster.accounts import RIGHTS, may_read_the_cluster
from tests.cluster.ground import LABEL, condition
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

WELL: Mapping[str, tuple[str, ...]] = {"well": ()}


def of_image(document: Object) -> Object:
    """The scripted server as an image, listening on its pod's address, with the cluster's one GPU."""
    container = document["spec"]["containers"][0]
    del container["command"]
    container["image"] = "test.invalid/model-server"
    container["args"] = ["--host=$(POD_IP)", *container["args"][1:]]
    container["env"] = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    container["readinessProbe"] = {**container["readinessProbe"], "failureThreshold": 3}
    return with_gpu(document)


def with_gpu(document: Object) -> Object:
    document["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    return document


async def prepare(
    namespace: Namespace,
    folder: Path,
    models: Mapping[str, str],
    behaviours: Mapping[str, tuple[str, ...]] = WELL,
    **fields: Any,
) -> None:
    """A catalog of `models` ({id: runtime}, `fields` of entries by id), a scripted runtime for each of `behaviours`,
    the claim, and a kubeconfig of the service's account: all that `house` needs."""
    runtimes = [of_image(runtime(name, *words)) for name, words in behaviours.items()]
    write_runtimes(folder / "runtimes", runtimes)
    write_catalog(folder / "catalog", dict(models), **fields)
    for document in runtimes:
        await namespace.apply(document)
    await namespace.claim("weights")
    await may_read_the_cluster(namespace)
    shutil.copy(await namespace.account("model-manager", RIGHTS), folder / "kubeconfig")


def settings_of(namespace: Namespace, folder: Path) -> dict[str, Any]:
    """Of a service outside of the cluster whose weights' folder is the claim."""
    return {
        "platform": "kserve", "kubeconfig": folder / "kubeconfig", "namespace": namespace.name,
        "weights_path": namespace.cluster.nodes.volumes / namespace.name / "weights", "weights_pvc_name": "weights",
        "default_runtime": "well",
    }  # fmt: skip


@asynccontextmanager
async def house(
    namespace: Namespace, folder: Path, state: str = "state", **changes: Any
) -> AsyncIterator[House]:
    changes = {"state_path": folder / state, "activation_timeout": 30.0, **changes}
    async with open_house(house_settings(folder, **settings_of(namespace, folder) | changes)) as opened:
        yield opened


async def uids(namespace: Namespace, activation: str | None = None) -> list[str]:
    """Of the pods, or of those of one activation."""
    return [
        pod["metadata"]["uid"]
        for pod in await namespace.pods()
        if activation in (None, pod["metadata"]["labels"].get(LABEL))
    ]


async def nothing_left(namespace: Namespace, h: House) -> None:
    """The garbage collector of a cluster that was just started looks for new kinds every 30 s only."""
    await h.serves(None, timeout=60)

    async def so() -> bool:
        left = [
            await namespace.api.list(kind, namespace.name)
            for kind in ("inferenceservices", "deployments", "replicasets", "pods")
        ]
        return not any(left)

    await namespace.wait(so, 60)


async def unscheduled(namespace: Namespace, name: str) -> bool:
    """Whether the scheduler has said of a pod that it fits nowhere now."""
    return (
        condition(await namespace.api.get("pods", name, namespace.name), "PodScheduled").get("status")
        == "False"
    )
