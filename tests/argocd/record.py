"""`python -m tests.argocd.record`: record what the real Knative tells of a Service's life.

Written to recorded/knative-service.jsonl, a watch event each line. The test cluster has Knative's controllers, but no
autoscaler and no ingress: their part, two statuses, is played here. What the Service then says is Knative's own.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from testcluster import Namespace
from testcluster.api import MERGE, Object
from testcluster.cluster import cluster, say

from tests.cluster.ground import condition

FILE = Path(__file__).parent / "recorded" / "knative-service.jsonl"
NAME = "model-manager"
SERVICES = "services.serving.knative.dev"

AUTOSCALER = (
    "autoscaling.internal.knative.dev",
    "podautoscalers",
    ("Active", "SKSReady", "ScaleTargetInitialized"),
)
INGRESS = ("networking.internal.knative.dev", "ingresses", ("LoadBalancerReady", "NetworkConfigured"))
GATEWAY = {"ingress": [{"domainInternal": "gateway.test.svc.cluster.local"}]}


def service(image: str) -> Object:
    container = {"name": "manager", "image": image, "ports": [{"containerPort": 8080}]}
    scale = {f"autoscaling.knative.dev/{one}-scale": "1" for one in ("min", "max")}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"template": {"metadata": {"annotations": scale}, "spec": {"containers": [container]}}},
    }


async def play(namespace: Namespace, part: tuple[str, str, tuple[str, ...]], **more: Any) -> None:
    """Until cancelled, everything of this kind is well at once."""
    group, resource, conditions = part
    root = f"/apis/{group}/v1alpha1/namespaces/{namespace.name}/{resource}"
    while True:
        for one in (await namespace.api.ask("GET", root))["items"]:
            name, generation = one["metadata"]["name"], one["metadata"]["generation"]
            if one.get("status", {}).get("observedGeneration") == generation and condition(one, "Ready"):
                continue
            now = {"status": "True", "lastTransitionTime": one["metadata"]["creationTimestamp"]}
            good = [{"type": kind, **now} for kind in (*conditions, "Ready")]
            status = {"observedGeneration": generation, "conditions": good, **more}
            if resource == "podautoscalers":
                status |= {"serviceName": name, "metricsServiceName": f"{name}-private"}
            await namespace.api.ask("PATCH", f"{root}/{name}/status", {"status": status}, kind=MERGE)
        await asyncio.sleep(0.2)


async def follow(namespace: Namespace, lines: list[str]) -> None:
    async for kind, body in namespace.api.watch(SERVICES, namespace.name):
        body["metadata"].pop("managedFields", None)
        lines.append(json.dumps({"type": kind, "object": body}, separators=(",", ":")))


async def told(namespace: Namespace, status: str, body: Object) -> None:
    """Apply it, and wait until the Service says this of its new revision."""
    await namespace.apply(body)

    async def look() -> bool:
        found = await namespace.api.get(SERVICES, NAME, namespace.name)
        seen = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
        return seen and condition(found, "Ready").get("status") == status

    await namespace.wait(look, 60)
    say(f"{body['spec']['template']['spec']['containers'][0]['image']}: Ready={status}")


async def life(namespace: Namespace) -> list[str]:
    """Started, given a new image, then one that is nowhere to be found; deleted."""
    lines: list[str] = []
    watch = asyncio.create_task(follow(namespace, lines))
    autoscaler = asyncio.create_task(play(namespace, AUTOSCALER, actualScale=1, desiredScale=1))
    ingress = asyncio.create_task(
        play(namespace, INGRESS, publicLoadBalancer=GATEWAY, privateLoadBalancer=GATEWAY)
    )
    try:
        await told(namespace, "True", service("test.invalid/manager:1"))
        await told(namespace, "True", service("test.invalid/manager:2"))
        autoscaler.cancel()  # it would call the next one well too
        await told(namespace, "False", service("nowhere.invalid/manager:typo"))
        where = f"/apis/serving.knative.dev/v1/namespaces/{namespace.name}/services/{NAME}"
        await namespace.api.ask("DELETE", where, {"propagationPolicy": "Foreground"})
        await asyncio.sleep(2)
    finally:
        for task in (watch, autoscaler, ingress):
            task.cancel()
    return lines


async def main() -> None:
    async with cluster() as made:
        await made.start_knative()
        async with made.namespace("knative") as namespace:
            lines = await life(namespace)
    FILE.write_text("\n".join(lines) + "\n")
    say(f"{len(lines)} lines in {FILE.name}")


if __name__ == "__main__":
    asyncio.run(main())
