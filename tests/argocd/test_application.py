"""The Application: its values are ones that the chart takes, and the chart's objects come in an order that ends."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import render

pytestmark = pytest.mark.chart

ROOT = Path(__file__).parents[2]
APPLICATION = yaml.safe_load((ROOT / "deploy/argocd/application.yaml").read_text())
SOURCE = APPLICATION["spec"]["source"]
GIVEN = SOURCE["helm"]["valuesObject"]

Object = dict[str, Any]

SECRETS = {
    "onepassword": {"itemPath": "vaults/v/items/catalog"},
    "apiToken": {"onepasswordVaultID": "v", "onepasswordItemID": "token"},
    "huggingface": {"externalSecretKey": "hub"},
    "externalSecrets": {"storeName": "store"},
}
VOLUMES = {"weights": {"create": True}}


def rendered(mode: str, **values: Object) -> list[Object]:
    name, namespace = APPLICATION["metadata"]["name"], APPLICATION["spec"]["destination"]["namespace"]
    return render({**GIVEN, "mode": mode, **values}, name, namespace)


def wave(body: Object) -> int:
    return int(body["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))


def workload(objects: list[Object]) -> Object:
    kinds = [("apps/v1", "Deployment"), ("serving.knative.dev/v1", "Service")]
    (found,) = [one for one in objects if (one["apiVersion"], one["kind"]) in kinds]
    return found


@pytest.mark.parametrize("mode", ["knative", "deployment"])
def test_the_chart_takes_the_applications_values(mode: str) -> None:
    objects = rendered(mode)
    assert workload(objects)["metadata"]["namespace"] == APPLICATION["spec"]["destination"]["namespace"]
    assert SOURCE["path"] == "charts/model-manager"


def test_secrets_come_before_what_mounts_them() -> None:
    for mode in ("knative", "deployment"):
        objects = rendered(mode, **SECRETS)
        kinds = [one for one in objects if one["kind"] in ("OnePasswordItem", "ExternalSecret")]
        assert len(kinds) == 3
        assert {wave(one) for one in kinds} == {-1}
        assert wave(workload(objects)) == 0


def test_a_claim_waits_for_no_earlier_wave() -> None:
    """One that is bound with its first consumer stays Pending until the pod is there, for which the wave would wait."""
    for mode, more in product(("knative", "deployment"), (VOLUMES, {})):
        objects = rendered(mode, **more)
        claims = [one for one in objects if one["kind"] == "PersistentVolumeClaim"]
        assert claims
        assert {wave(one) for one in claims} == {wave(workload(objects))}


def test_what_is_on_volumes_outlives_the_application() -> None:
    claims = [one for one in rendered("knative", **VOLUMES) if one["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == 2
    for claim in claims:
        annotations = claim["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"


def test_nothing_in_git_is_the_managers() -> None:
    """The InferenceServices are: were one rendered, Argo CD would prune it some day."""
    for mode in ("knative", "deployment"):
        assert "InferenceService" not in {one["kind"] for one in rendered(mode, **SECRETS, **VOLUMES)}


@pytest.mark.parametrize("page", ["install", "coming-from-0.4.4"])
def test_the_chart_takes_the_values_of_the_pages(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL)
    (values,) = [yaml.safe_load(block) for block in blocks if "image:" in block]
    original = yaml.safe_load((ROOT / "tests/chart/original.yaml").read_text()) if page != "install" else {}
    objects = render(merged(original, values))
    kept = {"PersistentVolume", "ServingRuntime"} if page == "coming-from-0.4.4" else {"PersistentVolume"}
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert kept.isdisjoint({kind for kind, name in made if name != "llama-cpp"})
    assert workload(objects)


def merged(values: Object, more: Object) -> Object:
    """As Helm merges values files."""
    inner = {key: merged(values[key], value) for key, value in more.items()
             if isinstance(value, dict) and isinstance(values.get(key), dict)}  # fmt: skip
    return values | more | inner


def test_what_runs_is_pinned() -> None:
    assert SOURCE["targetRevision"] not in ("HEAD", "main", "master")
    assert GIVEN["image"]["tag"] not in ("", "latest")
