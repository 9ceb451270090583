"""From one version of the chart to the next, what cannot be changed in a cluster stays as it is."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.rendering import CHART, MINIMAL, Object, find, render


@pytest.fixture(scope="session")
def next_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This chart, as the next version of it and of what it installs."""
    folder = tmp_path_factory.mktemp("next") / "model-manager"
    shutil.copytree(CHART, folder)
    about = yaml.safe_load((folder / "Chart.yaml").read_text())
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "0.3.0", "appVersion": "0.3.1"}))
    return folder


@pytest.mark.parametrize("case", CASES)
def test_the_next_version_keeps_names_selectors_and_volumes(case: str, next_chart: Path) -> None:
    before, after = render(CASES[case]), render(CASES[case], chart=next_chart)
    assert [_fixed(one) for one in after] == [_fixed(one) for one in before]
    assert "0.3.1" in str(after), "nothing of the next version was rendered"


def test_what_was_released_is_kept() -> None:
    """Literally: a change here is one that no `helm upgrade` can make."""
    selector = {
        "app.kubernetes.io/name": "model-manager",
        "app.kubernetes.io/instance": "model-manager",
        "app.kubernetes.io/component": "manager",
    }
    objects = render({**MINIMAL, "mode": "deployment"})
    deployment = find(objects, "Deployment")
    assert deployment["spec"]["selector"] == {"matchLabels": selector}
    assert find(objects, "Service", "model-manager-stable")["spec"]["selector"] == selector
    claims = {one["metadata"]["name"] for one in objects if one["kind"] == "PersistentVolumeClaim"}
    assert claims == {"model-manager-state"}


@pytest.mark.parametrize("case", CASES)
def test_volumes_outlive_the_release(case: str) -> None:
    for one in render(CASES[case]):
        if one["kind"].startswith("PersistentVolume"):
            assert one["metadata"]["annotations"] == {
                "helm.sh/resource-policy": "keep",
                "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
                "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
            }


def test_changing_the_mode_keeps_what_others_reach_it_by() -> None:
    knative, deployment = render(MINIMAL), render({**MINIMAL, "mode": "deployment"})
    names = {one["metadata"]["name"] for one in knative if one["kind"] == "Service"}
    assert names == {one["metadata"]["name"] for one in deployment if one["kind"] == "Service"}


def _fixed(one: Object) -> Object:
    """What the API server refuses to change, or what would move data or traffic."""
    spec = one.get("spec", {})
    fixed = {key: one[key] for key in ("apiVersion", "kind")} | {"name": one["metadata"]["name"]}
    if one["kind"].startswith("PersistentVolume"):
        return fixed | {"spec": spec}
    pod = spec.get("template", {}).get("spec", {})
    claims = [volume.get("persistentVolumeClaim") for volume in pod.get("volumes", [])]
    return fixed | {"selector": spec.get("selector"), "roleRef": one.get("roleRef"), "claims": claims}
