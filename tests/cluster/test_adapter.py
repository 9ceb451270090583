"""What the service uses and shows of a cluster: weights that KServe fetches, its runtimes, its version, drift."""

import copy
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from testcluster import Cluster, Namespace

from model_manager.errors import Unavailable
from model_manager.serving.kserve.kinds import INFERENCE_SERVICES
from model_manager.serving.kserve.opening import open_platform
from model_manager.serving.kserve.refusals import AnotherOne
from tests.cluster.ground import SLOT
from tests.cluster.house import house, of_image, prepare, uids
from tests.house import House, runtime, write_catalog
from tests.serving.ground import manifest


@pytest.fixture
async def ground(namespace: Namespace, tmp_path: Path) -> Path:
    await prepare(namespace, tmp_path, {"good": "well"})
    return tmp_path


async def activation_of(h: House, model: str) -> dict[str, Any]:
    """As the API shows it, once it has ended."""
    ended = await h.ended(await h.activate(model), 60)
    return dict((await h.call("GET", f"/activations/{ended.id}"))[1])


async def test_an_explicit_hf_uri_is_fetched_by_kserve_with_the_configured_secret_and_the_activation_says_so(
    cluster: Cluster, namespace: Namespace, ground: Path
) -> None:
    repository = cluster.nodes.hub / "test" / "gated"
    repository.mkdir(parents=True, exist_ok=True)
    (repository / ".gated").write_text("hf_right")
    write_catalog(ground / "catalog", {"good": "well", "hub": "well"}, hub={"storageUri": "hf://test/gated"})
    async with house(namespace, ground) as h:
        refused = await activation_of(h, "hub")
        assert (refused["result"], refused["code"]) == ("failed", "not_allowed"), refused["reason"]
        assert "Cannot access gated repo" in refused["reason"]
    await namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf-token"},
                           "stringData": {"HF_TOKEN": "hf_right"}})  # fmt: skip
    async with house(namespace, ground, hub_token_secret="hf-token") as h:
        served = await activation_of(h, "hub")
        assert (served["result"], served["fetchedBy"]) == ("active", "kserve"), served["reason"]
        (pod,) = await namespace.pods()
        assert [one["name"] for one in pod["spec"]["initContainers"]] == ["storage-initializer"]


async def test_a_runtime_that_only_the_cluster_knows_is_used_with_its_own_command_line(
    namespace: Namespace, ground: Path
) -> None:
    """By name it would be taken for vLLM's."""
    theirs = of_image(runtime("scripted"))
    await namespace.apply(theirs)
    write_catalog(ground / "catalog", {"good": "well", "there": "scripted"}, there={"contextLength": 64})
    async with house(namespace, ground) as h:
        await namespace.wait(lambda: _knows(h, "scripted"))
        await h.active("there")
        applied = await namespace.isvc()
        assert applied is not None
        assert "--ctx-size" in str(applied["spec"]["predictor"]["model"]["args"])
        await namespace.api.delete("servingruntimes", "scripted", namespace.name)

        async def missed() -> bool:
            trouble = (await h.parts.platform.observe(SLOT)).trouble
            return trouble is not None and trouble.code == "runtime_missing"

        await namespace.wait(missed)
        assert (await h.chat())[1]["model"] == "there", "it goes on serving"


async def test_a_runtime_that_changes_has_its_pod_started_again_and_that_is_served(
    namespace: Namespace, ground: Path
) -> None:
    """KServe does so; the activation stays the same."""
    async with house(namespace, ground) as h:
        activation = await h.active("good")
        before = await uids(namespace)
        changed = of_image(runtime("well"))
        changed["spec"]["containers"][0]["env"].append({"name": "CHANGED", "value": "1"})
        await namespace.apply(changed)

        async def started_again() -> bool:
            now = await uids(namespace)
            return len(now) == 1 and now != before

        await namespace.wait(started_again)
        await h.serves("good", timeout=40)
        assert (await h.chat())[1]["model"] == "good"
        assert await uids(namespace, activation.id) == await uids(namespace)


async def _knows(h: House, name: str) -> bool:
    return name in h.parts.platform.runtimes


async def test_the_clusters_versions_and_modes_are_shown(
    cluster: Cluster, namespace: Namespace, ground: Path
) -> None:
    """By its own account, which may read nothing of KServe's, and by one that may."""
    for kubeconfig, said in ((ground / "kubeconfig", "0.20 or newer"), (cluster.kubeconfig, "0.20.0")):
        async with house(namespace, ground, kubeconfig=kubeconfig) as h:
            await h.active("good")
            shown = (await h.call("GET", "/system/info"))[1]["cluster"]
            assert shown == {
                "kubernetes": "v1.34.4", "kserve": said, "defaultMode": "Standard", "modes": {SLOT: "Standard"},
                "trouble": "",
            }  # fmt: skip


async def test_what_others_changed_is_in_the_slot_field_by_field(namespace: Namespace, ground: Path) -> None:
    async with house(namespace, ground, drift="keep") as h:
        await h.active("good")
        change = {"metadata": {"annotations": {"model-manager/entry-hash": "theirs"}}}
        await namespace.api.patch("inferenceservices", SLOT, change, namespace.name)

        async def drift() -> list[dict[str, Any]]:
            return list((await h.call("GET", f"/slots/{SLOT}"))[1]["drift"])

        (one,) = await namespace.wait(drift)
        assert (one["field"], one["found"]) == ("metadata.annotations.model-manager/entry-hash", "theirs")
        assert one["by"]
        why = (await h.call("GET", f"/slots/{SLOT}/why"))[1]
        assert (why["code"], why["drift"]) == ("serving", [one])
        assert f"{one['by']} changed {one['field']}." in why["cause"]


async def test_what_takes_the_place_of_ours_between_a_look_and_a_write_is_not_written_to(
    namespace: Namespace, ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one made again that is gone by then; and pods that have ended can be left out of a list."""
    adapter = open_platform(
        ground / "kubeconfig", namespace.name, claim="", weights_there=lambda folder: True
    )
    try:
        await adapter.apply(manifest("well", activation="a"))
        stale = copy.deepcopy(await namespace.isvc())
        assert stale is not None
        stale["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
        monkeypatch.setattr(adapter._applying, "current", AsyncMock(return_value=stale))
        for write in (adapter._applying.dry_run, adapter.apply):
            with pytest.raises(Unavailable, match="another one has its name, or none has"):
                await write(manifest("well", activation="b"))
        patch = {"metadata": {"uid": stale["metadata"]["uid"], "annotations": {"not": "written"}}}
        with pytest.raises(AnotherOne):
            await adapter._api.merge(INFERENCE_SERVICES, SLOT, patch)
        there = await namespace.isvc()
        assert there is not None
        assert "not" not in there["metadata"]["annotations"]
        assert there["metadata"]["labels"]["model-manager/activation"] == "a"
        await namespace.api.delete("inferenceservices", SLOT, namespace.name)

        async def gone() -> bool:
            return await namespace.isvc() is None

        await namespace.wait(gone)
        for write in (adapter._applying.dry_run, adapter.apply):
            with pytest.raises(Unavailable, match="another one has its name, or none has"):
                await write(manifest("well", activation="b"))
        assert await namespace.isvc() is None
        found = await adapter.evidence(SLOT)
        assert found.capacity and all(one.free is not None for one in found.capacity), found.unknown
    finally:
        await adapter.aclose()
