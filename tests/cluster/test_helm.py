"""What Helm itself keeps when it installs, upgrades, rolls back and removes the chart."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from testcluster import Cluster, Namespace

from tests.chart.rendering import CHART, MINIMAL

MOVING = (Path(__file__).parents[2] / "docs" / "coming-from-0.4.4.md").read_text()
KEPT = ("model-manager-state", "model-weights")
VALUES: dict[str, Any] = {**MINIMAL, "mode": "deployment", "weights": {"create": True}}


class Helm:
    """Its commands for one release."""

    def __init__(self, cluster: Cluster, namespace: str, name: str = "model-manager") -> None:
        import helm_python  # here, since the suite without a cluster does without Helm

        self._config = helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace)
        self._name, self._namespace = name, namespace

    async def install(self, chart: Path, values: dict[str, Any]) -> None:
        await asyncio.to_thread(self._config.install, chart, self._name, values, namespace=self._namespace)

    async def upgrade(self, chart: Path, values: dict[str, Any]) -> None:
        await asyncio.to_thread(self._config.upgrade, chart, self._name, values, namespace=self._namespace)

    async def rollback(self) -> None:
        await asyncio.to_thread(self._config.rollback, self._name)

    async def uninstall(self) -> None:
        await asyncio.to_thread(self._config.uninstall, self._name)


async def there(namespace: Namespace, *kinds: str) -> dict[str, str]:
    """UIDs by name, of what nobody is deleting."""
    found = [one for kind in kinds for one in await namespace.api.list(kind, namespace.name)]
    return {
        one["metadata"]["name"]: one["metadata"]["uid"]
        for one in found
        if "deletionTimestamp" not in one["metadata"]
    }


async def test_claims_outlive_the_release_and_are_taken_up_again(
    cluster: Cluster, namespace: Namespace
) -> None:
    helm = Helm(cluster, namespace.name)
    await helm.install(CHART, VALUES)
    claims = await there(namespace, "persistentvolumeclaims")
    assert sorted(claims) == sorted(KEPT)
    await helm.uninstall()
    assert await there(namespace, "deployments") == {}
    assert await there(namespace, "persistentvolumeclaims") == claims
    await helm.install(CHART, VALUES)
    await helm.upgrade(CHART, {**VALUES, "weights": {"create": False}, "state": {"create": False}})
    assert await there(namespace, "persistentvolumeclaims") == claims


async def test_what_moving_says_to_keep_outlives_the_originals_chart(
    cluster: Cluster, namespace: Namespace, tmp_path: Path
) -> None:
    """That chart made claims and a runtime without asking, and the new one does not."""
    helm = Helm(cluster, namespace.name, "serving")
    await helm.install(original(tmp_path / "original"), {})
    before = await there(namespace, "persistentvolumeclaims", "servingruntimes")
    assert sorted(before) == ["lost", "model-manager-state", "vllm-runtime"]
    annotations = dict(re.findall(r"(\S+/\S+?)=(\S+)", MOVING.split("keep() {")[1].split("}")[0]))
    assert len(annotations) == 3
    for kind, name in (
        ("persistentvolumeclaims", "model-manager-state"),
        ("servingruntimes", "vllm-runtime"),
    ):
        await namespace.api.patch(kind, name, {"metadata": {"annotations": annotations}}, namespace.name)
    (values,) = [
        yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", MOVING, re.DOTALL) if "image:" in one
    ]
    values |= {**VALUES, "weights": values["weights"], "huggingface": {}}
    await helm.upgrade(CHART, values)
    after = await there(namespace, "persistentvolumeclaims", "servingruntimes")
    assert after.items() >= (before.items() - {("lost", before["lost"])})
    assert "lost" not in after, "what is not annotated goes with the chart that made it"
    assert "model-manager" in await there(namespace, "deployments"), "its name is not the release's"
    await helm.rollback()
    assert (await there(namespace, "servingruntimes"))["vllm-runtime"] == before["vllm-runtime"]


@pytest.mark.parametrize("mode", ["deployment", "knative"])
async def test_the_mode_can_be_changed_once_what_served_before_is_gone(
    cluster: Cluster, namespace: Namespace, mode: str
) -> None:
    await cluster.start_knative()
    helm = Helm(cluster, namespace.name)
    other = {"deployment": "knative", "knative": "deployment"}[mode]
    await helm.install(CHART, {**VALUES, "mode": mode})
    claims = await there(namespace, "persistentvolumeclaims")
    gone = {"deployment": ("deployments", "services"), "knative": ("services.serving.knative.dev",)}[mode]
    for kind in gone:
        await namespace.api.delete(kind, "model-manager", namespace.name)
    await helm.upgrade(CHART, {**VALUES, "mode": other})
    assert await there(namespace, "persistentvolumeclaims") == claims


def original(folder: Path) -> Path:
    """A chart with what the original's made and no longer is made; `lost` stands for what nobody keeps."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    formats = [{"name": "custom", "version": "1"}]
    runtime = {"containers": [{"name": "kserve-container", "image": "x"}], "supportedModelFormats": formats}
    objects = [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim}
        for name in ("model-manager-state", "lost")
    ]
    of_kserve = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime"}
    objects.append({**of_kserve, "metadata": {"name": "vllm-runtime"}, "spec": runtime})
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: original, version: 0.4.4}")
    (folder / "templates" / "all.yaml").write_text(yaml.safe_dump_all(objects))
    return folder
