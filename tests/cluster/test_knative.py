"""Knative mode, on the real Knative: the old model's pods are gone before the new one is asked for."""

import copy
from pathlib import Path

from testcluster import Cluster, Namespace
from testcluster.api import Object

from model_manager.errors import Unavailable
from model_manager.serving.kserve.opening import open_platform
from model_manager.serving.platform import ACTIVATION_LABEL
from tests.cluster.ground import chat
from tests.cluster.test_platform import account  # noqa: F401
from tests.serving.ground import SLOT, instance_when, manifest

MODE, STOP = "serving.kserve.io/deploymentMode", "serving.kserve.io/stop"


def _without_fields(runtime: Object) -> Object:
    """Knative refuses a variable with a `fieldRef`, which told the server its pod's address."""
    container = runtime["spec"]["containers"][0]
    del container["env"]
    container["args"][0] = "--host=0.0.0.0"
    metadata = {"name": runtime["metadata"]["name"]}
    return {key: runtime[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}


async def test_a_switch_in_knative_mode_stops_first_and_then_starts(
    cluster: Cluster,
    namespace: Namespace,
    account: Path,  # noqa: F811
) -> None:
    await cluster.start_knative()
    await namespace.apply(_without_fields(await namespace.api.get("servingruntimes", "well", namespace.name)))
    old = copy.deepcopy(manifest("well", activation="a"))
    old["metadata"]["annotations"] = {MODE: "Knative"}
    del old["spec"]["predictor"]["deploymentStrategy"]
    await namespace.apply(old, manager="model-manager")

    async def labels() -> list[str]:
        return [pod["metadata"]["labels"].get(ACTIVATION_LABEL, "") for pod in await namespace.pods()]

    platform = open_platform(account, namespace.name, claim="", weights_there=lambda folder: True)
    stops: list[str] = []

    async def applied() -> bool:
        try:
            await platform.apply(manifest("well", activation="b"))
        except Unavailable as wait:
            assert "b" not in await labels(), "the new one was started beside the old one"
            stops.append(wait.sentence)
            return False
        return True

    try:
        await instance_when(platform, lambda one: one.activation == "a" and one.ready)
        await namespace.wait(applied, 90)
        assert any("still stopping" in sentence for sentence in stops)
        await instance_when(platform, lambda one: one.activation == "b" and one.ready)
        (pod,) = await namespace.pods()
        assert await chat(pod)
        found = await namespace.isvc(SLOT)
        assert found is not None
        assert {key: found["metadata"]["annotations"][key] for key in (MODE, STOP)} == {
            MODE: "Knative",
            STOP: "false",
        }
    finally:
        await platform.aclose()
