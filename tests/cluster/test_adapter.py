"""What the service shows and uses of a cluster: weights that KServe fetches, runtimes that only the cluster knows, drift."""

from pathlib import Path
from typing import Any

import pytest
from testcluster import Cluster, Namespace

from tests.cluster.ground import SLOT
from tests.cluster.house import house, prepare
from tests.house import House, write_catalog


@pytest.fixture
async def ground(namespace: Namespace, tmp_path: Path) -> Path:
    await prepare(namespace, tmp_path, {"good": "well"})
    return tmp_path


async def activation_of(h: House, model: str) -> dict[str, Any]:
    status, answer = await h.call("POST", "/models/activate?wait=60", {"id": model})
    if status == 200:
        return dict(answer)
    _, page = await h.call("GET", f"/activations?model={model}&limit=1")
    return dict(page["activations"][0])


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
