"""What the chart renders is admitted by the real API server, with the real webhooks of Knative and KServe."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from testcluster import Cluster, Namespace
from testcluster.api import Object, Refused

from model_manager.serving.kserve.installed import FEATURES, FLAGS, KNATIVE
from tests.chart.rendering import MINIMAL, find, render

FOREIGN = {"onepassword.com", "external-secrets.io", "monitoring.coreos.com"}
"""Groups of operators whose kinds no module of this cluster brings."""

VALUES: dict[str, dict[str, Any]] = {
    "knative": {},
    "deployment": {"mode": "deployment"},
    "everything": {
        "route": {"host": "models.example.com"},
        "onepassword": {"itemPath": "vaults/ops/items/git"},
        "huggingface": {"secretName": "hf-token"},
        "apiToken": {"createSecret": True, "value": "of-a-test"},
        "weights": {"create": True, "storageClass": "fast"},
        "state": {"hostPath": "/srv/state", "hostNode": "gpu-1"},
        "runtimes": {"cuda": {"enabled": True}},
        "networkPolicy": {"enabled": True, "models": True},
        "monitoring": {"podMonitor": True, "alerts": True, "dashboard": True},
    },
}


@pytest.fixture
async def knative(cluster: Cluster, namespace: Namespace) -> AsyncIterator[Namespace]:
    """With the flags on that the chart's README names, at the start and at the end."""
    await cluster.start_knative()
    yield namespace
    await set_flags(namespace, **dict.fromkeys(FLAGS, "enabled"))


async def set_flags(namespace: Namespace, **flags: str) -> None:
    await namespace.api.patch("configmaps", FEATURES, {"data": flags}, KNATIVE)


async def rendered(namespace: Namespace, **values: Any) -> list[Object]:
    """With the account there already: Knative looks for it, in a dry run too."""
    objects = render(MINIMAL | values, namespace=namespace.name)
    await namespace.api.apply(find(objects, "ServiceAccount"))
    return objects


async def refusal(namespace: Namespace, body: Object) -> str:
    """What the API server has against it; empty: nothing."""
    try:
        await namespace.api.apply(body, dry_run=True)
    except Refused as refused:
        return refused.message
    return ""


@pytest.mark.parametrize("values", VALUES)
async def test_every_object_is_admitted(knative: Namespace, values: str) -> None:
    objects = await rendered(knative, **VALUES[values])
    ours = [one for one in objects if one["apiVersion"].split("/")[0] not in FOREIGN]
    assert len(ours) > 6
    assert [text for one in ours if (text := await refusal(knative, one))] == []


@pytest.mark.parametrize("flag", FLAGS)
async def test_each_flag_that_is_named_is_needed(knative: Namespace, flag: str) -> None:
    service = find(await rendered(knative), "Service", group="serving.knative.dev")
    await set_flags(knative, **{flag: "disabled"})
    words = {"claim": "claim support is disabled", "write": "write support is disabled"}
    said = words.get(flag.rpartition("-")[2], "securityContext")

    async def refused() -> bool:
        return said in await refusal(knative, service)

    async def admitted() -> bool:
        return not await refusal(knative, service)

    await knative.wait(refused)
    await set_flags(knative, **{flag: "enabled"})
    await knative.wait(admitted)


@pytest.mark.parametrize("runtime", ["llama-cpp", "vllm-runtime", "vllm-cuda"])
async def test_the_runtimes_arguments_and_the_entrys_reach_the_server(
    namespace: Namespace, runtime: str
) -> None:
    """Through KServe's own merge, into the container that it makes."""
    objects = await rendered(namespace, runtimes={"cuda": {"enabled": True}})
    document = find(objects, "ServingRuntime", runtime)
    await namespace.apply(document)
    await namespace.claim("model-weights")
    model = {
        "modelFormat": {"name": "custom"},
        "runtime": runtime,
        "storageUri": "pvc://model-weights/some",
        "args": ["--of-the-entry=1"],
    }
    await namespace.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "any"},
            "spec": {"predictor": {"model": model}},
        }
    )
    made = await namespace.wait(lambda: namespace.api.find("deployments", "any-predictor", namespace.name))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    wanted = document["spec"]["containers"][0]
    assert container["command"] == wanted["command"]
    assert container["args"] == [*wanted["args"], "--of-the-entry=1"]
    assert container["image"] == wanted["image"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
