"""The contract of platforms, and what only KServe itself can show, on the real control plane."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from testcluster import Namespace

from model_manager.serving.kserve.opening import open_platform
from model_manager.serving.kserve.platform import KServePlatform
from model_manager.serving.platform import ACTIVATION_LABEL, ADOPT_ANNOTATION
from tests.cluster.accounts import RIGHTS, may_read_the_cluster
from tests.serving import ground
from tests.serving.ground import SLOT, manifest
from tests.serving.platform_contract import PlatformContract


@pytest.fixture
async def account(namespace: Namespace) -> Path:
    """With the scripted servers as runtimes, and the claim that their manifests name."""
    folder = await namespace.claim("some-claim")
    (folder / "scripted-model").mkdir()
    for name, document in ground.RUNTIMES.items():
        made = copy.deepcopy(document)
        made |= {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime"}
        made["metadata"] = {**made["metadata"], "name": name}
        container = made["spec"]["containers"][0]
        container |= {"image": "test.invalid/model-server", "args": ["--host=$(POD_IP)", *container["args"]]}
        container["env"] = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
        del container["command"]
        await namespace.apply(made)
    await may_read_the_cluster(namespace)
    return await namespace.account("model-manager", RIGHTS)


@pytest.fixture
async def platform(namespace: Namespace, account: Path) -> AsyncIterator[KServePlatform]:
    made = open_platform(account, namespace.name, claim="", weights_there=lambda folder: True)
    yield made
    await made.aclose()


class TestKServePlatform(PlatformContract):
    """The `platform` fixture is this file's."""


async def test_adopting_restarts_no_pod(namespace: Namespace, platform: KServePlatform) -> None:
    theirs = manifest("well")
    theirs["metadata"]["labels"], theirs["spec"]["predictor"]["labels"] = {}, {}
    theirs["spec"]["predictor"]["deploymentStrategy"] = {"type": "Recreate"}
    await namespace.apply(theirs, manager="kubectl")
    before = await ground.ready(platform)
    mine = manifest("well", activation="mine")
    mine["metadata"]["annotations"] = {ADOPT_ANNOTATION: "true"}
    await platform.apply(mine)
    await ground.observed_when(platform, lambda seen: seen.activation == "mine")
    after = await ground.ready(platform)
    assert (after.name, after.activation, after.restarts) == (before.name, "mine", 0)
    await platform.release(SLOT)
    assert (await platform.observe(SLOT)).activation is None
    await platform.apply(mine)
    await platform.apply(manifest("well", activation="next"))
    await ground.instance_when(platform, lambda one: one.activation == "next" and one.ready)
    labels = [pod["metadata"]["labels"].get(ACTIVATION_LABEL) for pod in await namespace.pods()]
    assert labels == ["next"]


async def test_drift_is_seen_field_by_field_and_put_back(
    namespace: Namespace, platform: KServePlatform
) -> None:
    mine = manifest("well", activation="a")
    await platform.apply(mine)
    await ground.ready(platform)
    assert platform.drift(mine) == ()
    change = {"spec": {"predictor": {"model": {"storageUri": "pvc://some-claim/another"}}}}
    await namespace.api.patch("inferenceservices", SLOT, change, namespace.name)
    await ground.observed_when(platform, lambda seen: platform.drift(mine))
    assert [one.field for one in platform.drift(mine)] == ["spec.predictor.model.storageUri"]
    await platform.apply(mine)
    assert platform.drift(mine) == ()
