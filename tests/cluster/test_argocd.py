"""What docs/argocd.md says of Argo CD's comparison and of annotations, on the real API server, Knative and KServe."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from testcluster import Cluster, Namespace
from testcluster.api import APPLY, MERGE, Object

from tests.chart.rendering import MINIMAL, render
from tests.cluster.ground import SLOT, demo_ground, start

ARGO_CD = "argocd-controller"
KSERVE = "/apis/serving.kserve.io"


@pytest.mark.parametrize("mode", ["knative", "deployment"])
async def test_what_argo_cd_applied_is_in_sync(cluster: Cluster, namespace: Namespace, mode: str) -> None:
    """Its server-side diff: what the same apply would make, tried as a dry run, is what is there."""
    await cluster.start_knative()
    values = {**MINIMAL, "mode": mode, "image": {"repository": "test.invalid/model-manager"}}
    objects = [one for one in render(values, namespace=namespace.name) if one["kind"] != "Pod"]
    for body in objects:
        await namespace.api.apply(body, manager=ARGO_CD, patience=10)
    await asyncio.sleep(3)  # controllers write too
    for body in objects:
        there, predicted = await compared(namespace, body)
        assert told(predicted) == told(there), body["kind"]
        if body["apiVersion"] == "serving.knative.dev/v1":
            assert list(other_lists(body, there)) == [".spec.template.spec.containers"], (
                "if nothing is filled in any more, Argo CD's plain comparison is enough"
            )


async def test_a_note_on_the_runtime_restarts_no_model_and_one_on_the_model_does(
    namespace: Namespace,
) -> None:
    """So volumes and runtimes can be kept by annotations, and an InferenceService cannot."""
    await demo_ground(namespace)
    pod = await start(namespace)

    async def annotate(where: str) -> list[str]:
        body = {"metadata": {"annotations": {"argocd.argoproj.io/sync-options": "Prune=false"}}}
        version, resource = where.split("/", 1)
        url = f"{KSERVE}/{version}/namespaces/{namespace.name}/{resource}"
        await namespace.api.ask("PATCH", url, body, kind=MERGE)
        await asyncio.sleep(4)
        return [one["metadata"]["uid"] for one in await namespace.pods()]

    assert await annotate("v1alpha1/servingruntimes/llama-cpp") == [pod["metadata"]["uid"]]
    assert pod["metadata"]["uid"] not in await annotate(f"v1beta1/inferenceservices/{SLOT}")


async def compared(namespace: Namespace, body: Object) -> tuple[Object, Object]:
    """What is there, and what applying this would make of it."""
    group = body["apiVersion"]
    plural, namespaced = await namespace.api._plural(group, body["kind"], 0)
    place = f"/namespaces/{namespace.name}" if namespaced else ""
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    where = f"{root}{place}/{plural}/{body['metadata']['name']}"
    query = {"fieldManager": ARGO_CD, "force": "true", "dryRun": "All"}
    predicted = await namespace.api.ask("PATCH", where, body, kind=APPLY, query=query)
    return await namespace.api.ask("GET", where), predicted


def told(body: Object) -> Object:
    """Without what every write changes."""
    about = {
        key: value
        for key, value in body["metadata"].items()
        if key not in ("managedFields", "resourceVersion", "generation")
    }
    return {**body, "metadata": about, "status": None}


def other_lists(wanted: Any, there: Any, path: str = "") -> Iterator[str]:
    """Where a merge that takes lists as a whole sees others, as Argo CD's plain one for kinds that it does not know."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from other_lists(value, (there or {}).get(key), f"{path}.{key}")
    elif wanted != there:
        yield path
