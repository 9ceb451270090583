"""`python -m tests.cluster.record [NAME …]`: record what watches say of a model's life, and of each failure.

Each file of tests/serving/kserve/recorded/ is one story, told by the real servers: a line is a watch event with the
seconds since the recording began and the resource that was watched. Left out: managed fields, most of the pods' specs,
what changed nothing that is kept, and what is told of Services: they refuse pods on loopback, which is the rig's doing.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from testcluster import Cluster, Namespace
from testcluster.api import Object
from testcluster.cluster import cluster, say

from tests.cluster.ground import (
    SLOT,
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

FOLDER = Path(__file__).parents[1] / "serving" / "kserve" / "recorded"
RESOURCES = ("inferenceservices", "pods", "events")
POD_SPEC = ("nodeName", "initContainers", "containers")
CONTAINER = ("name", "image", "command", "args", "resources")

QUIET, LONGEST = 1.5, 4.0
"""Seconds without a word that end a recording, and how long that is waited for."""


class Recording:
    """The lines of one story. `follow` adds to them until it is cancelled."""

    def __init__(self, namespace: Namespace) -> None:
        self.lines: list[Object] = []
        self._namespace, self._begun = namespace, time.monotonic()
        self._known: dict[str, str] = {}

    async def follow(self, resource: str) -> None:
        async for kind, body in self._namespace.api.watch(resource, self._namespace.name):
            if body.get("involvedObject", {}).get("kind") in ("Service", "Endpoints"):
                continue
            kept = slim(resource, body)
            uid, text = kept["metadata"]["uid"], without_version(kept)
            if kind != "MODIFIED" or self._known.get(uid) != text:
                at = round(time.monotonic() - self._begun, 2)
                self.lines.append({"at": at, "resource": resource, "type": kind, "object": kept})
            self._known[uid] = text

    async def quiet(self) -> None:
        """Wait for the last word. A loop of crashes has none."""
        longest = time.monotonic() + LONGEST
        seen, until = len(self.lines), time.monotonic() + QUIET
        while time.monotonic() < min(until, longest):
            await asyncio.sleep(0.1)
            if len(self.lines) != seen:
                seen, until = len(self.lines), time.monotonic() + QUIET


def slim(resource: str, body: Object) -> Object:
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    kept = {**body, "metadata": metadata}
    if resource == "pods":
        spec = {key: value for key, value in body["spec"].items() if key in POD_SPEC}
        for key in {"initContainers", "containers"} & spec.keys():
            spec[key] = [{name: one[name] for name in CONTAINER if name in one} for one in spec[key]]
        kept["spec"] = spec
    return kept


def without_version(body: Object) -> str:
    metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
    return json.dumps({**body, "metadata": metadata}, sort_keys=True)


# The stories


async def life(_: Cluster, namespace: Namespace) -> None:
    """Served, switched with one GPU, deleted."""
    await start(namespace)
    await isvc_when(namespace, is_ready)
    await start(namespace, isvc("a2", "pvc://weights/demo-pirate"))
    await isvc_when(namespace, is_ready)
    await namespace.api.delete("inferenceservices", SLOT, namespace.name)
    await nothing_left(namespace)


async def slow_termination(_: Cluster, namespace: Namespace) -> None:
    await start(namespace)
    namespace.fail("slow-termination:3", model_manager__activation="a1")
    await start(namespace, isvc("a2", "pvc://weights/demo-pirate"))
    await isvc_when(namespace, is_ready)


async def gpu_missing(_: Cluster, namespace: Namespace) -> None:
    await never_scheduled(namespace, isvc(gpus=2))


async def claim_missing(_: Cluster, namespace: Namespace) -> None:
    await never_scheduled(namespace, isvc(uri="pvc://absent/demo"))


async def claim_unbound(_: Cluster, namespace: Namespace) -> None:
    await namespace.claim("unbound", bound=False)
    await never_scheduled(namespace, isvc(uri="pvc://unbound/demo"))


async def runtime_missing(_: Cluster, namespace: Namespace) -> None:
    body = isvc()
    body["spec"]["predictor"]["model"]["runtime"] = "absent"
    await namespace.apply(body)
    await isvc_when(
        namespace,
        lambda one: one.get("status", {}).get("modelStatus", {}).get("transitionStatus") == "InvalidSpec",
    )


async def weights_missing(_: Cluster, namespace: Namespace) -> None:
    await namespace.apply(isvc(uri="pvc://weights/nope"))
    await pod_when(namespace, lambda one: waiting(one) == "CreateContainerConfigError")


async def image_missing(_: Cluster, namespace: Namespace) -> None:
    namespace.fail("image-pull")
    await namespace.apply(isvc())
    await pod_when(namespace, lambda one: waiting(one) == "ImagePullBackOff")


async def source_missing(_: Cluster, namespace: Namespace) -> None:
    """The initializer finds no such repository, again and again."""
    await namespace.apply(isvc(uri="hf://nobody/nothing"))
    await pod_when(namespace, lambda one: waiting(one, "initContainerStatuses") == "CrashLoopBackOff")


async def crash(_: Cluster, namespace: Namespace) -> None:
    await namespace.apply(isvc(args=("--no-such-flag",)))
    await pod_when(namespace, lambda one: waiting(one) == "CrashLoopBackOff")


async def out_of_memory(_: Cluster, namespace: Namespace) -> None:
    """While it serves; it comes back, and is killed again."""
    await start(namespace)
    namespace.fail("oom")
    await pod_when(namespace, lambda one: last_end(one).get("reason") == "OOMKilled")


async def never_ready(_: Cluster, namespace: Namespace) -> None:
    namespace.fail("never-ready")
    await namespace.apply(isvc())
    await events_when(namespace, "Unhealthy")


async def readiness_lost(_: Cluster, namespace: Namespace) -> None:
    """And found again."""
    await start(namespace)
    await isvc_when(namespace, is_ready)
    namespace.fail("never-ready")
    await pod_when(namespace, lambda one: not is_ready(one))
    await isvc_when(namespace, lambda one: not is_ready(one))
    namespace.heal()
    await pod_when(namespace, is_ready)


async def node_lost(cluster: Cluster, namespace: Namespace) -> None:
    """And found again."""
    await start(namespace)
    cluster.nodes.lose("gpu-1")
    try:
        await pod_when(namespace, lambda one: not is_ready(one))
    finally:
        cluster.nodes.bring_back("gpu-1")
    await pod_when(namespace, is_ready)


async def evicted(_: Cluster, namespace: Namespace) -> None:
    """The failed pod stays beside the one that takes its place."""
    name = (await start(namespace))["metadata"]["name"]
    note = {"metadata": {"annotations": {"test-node/fail": "evict"}}}
    await namespace.api.patch("pods", name, note, namespace.name)
    await pod_when(namespace, lambda one: is_ready(one) and one["metadata"]["name"] != name)


async def never_scheduled(namespace: Namespace, body: Object) -> None:
    await namespace.apply(body)
    await pod_when(namespace, lambda one: condition(one, "PodScheduled").get("status") == "False")


async def nothing_left(namespace: Namespace) -> None:
    async def gone() -> bool:
        return not await namespace.pods() and await namespace.isvc(SLOT) is None

    await namespace.wait(gone, 60)


Story = Callable[[Cluster, Namespace], Awaitable[None]]
STORIES: dict[str, Story] = {
    one.__name__.replace("_", "-"): one
    for one in (
        life,
        slow_termination,
        gpu_missing,
        claim_missing,
        claim_unbound,
        runtime_missing,
        weights_missing,
        image_missing,
        source_missing,
        crash,
        out_of_memory,
        never_ready,
        readiness_lost,
        node_lost,
        evicted,
    )
}


async def record(cluster: Cluster, name: str) -> None:
    async with cluster.namespace("models") as namespace:
        await demo_ground(namespace)
        recording = Recording(namespace)
        followers = [asyncio.create_task(recording.follow(resource)) for resource in RESOURCES]
        try:
            await STORIES[name](cluster, namespace)
            await recording.quiet()
        finally:
            for follower in followers:
                follower.cancel()
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in recording.lines)
    text = text.replace(str(cluster.folder), "/test-cluster").replace(namespace.name, "models")
    (FOLDER / f"{name}.jsonl").write_text(text)
    say(f"{name}: {len(recording.lines)} lines, {len(text) // 1024} KiB")


async def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    async with cluster() as made:
        for name in names or STORIES:
            await record(made, name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
