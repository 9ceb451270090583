"""Render the chart with Helm: the one in `helm-python-sdk`, else the `helm` on PATH."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "model-manager"
NOTES = "NOTES.txt"
Object = dict[str, Any]

MINIMAL: Object = {
    "image": {"repository": "registry.example.com/model-manager"},
    "gitSync": {"repo": "https://git.example.com/catalog.git"},
}
"""The only values that must be given."""


class Refused(Exception):
    """What Helm says of values that the chart does not take."""


def render(
    values: Object, name: str = "model-manager", namespace: str = "ai", chart: Path = CHART
) -> list[Object]:
    """Every object of the release, `helm test`'s pod too, as `helm template` makes them. Raises Refused."""
    files = _rendered(values, name, namespace, chart)
    files.pop(NOTES, None)
    return [one for text in files.values() for one in yaml.safe_load_all(text) if one]


def notes(values: Object, name: str = "model-manager", namespace: str = "ai") -> str:
    """What `helm install` says at its end, where it cannot look into the cluster."""
    files = _rendered(values, name, namespace, CHART)
    if NOTES not in files:
        pytest.skip(
            "the `helm` command shows notes only where there is a cluster; helm-python-sdk does without"
        )
    return files[NOTES]


def find(objects: list[Object], kind: str, name: str = "model-manager", group: str | None = None) -> Object:
    """The only object of this kind and name. `group` tells a Knative Service from a core one."""
    found = [
        one
        for one in objects
        if one["kind"] == kind
        and one["metadata"]["name"] == name
        and (group is None or one["apiVersion"].startswith(group))
    ]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
    return found[0]


def _rendered(values: Object, name: str, namespace: str, chart: Path) -> dict[str, str]:
    """Texts by their path below `templates/`."""
    try:
        import helm_python
    except ImportError:
        return _by_command(values, name, namespace, chart)
    try:
        with helm_python.Chart.load(chart) as loaded:
            files = loaded.render(values, name=name, namespace=namespace)
    except helm_python.HelmError as e:
        raise Refused(str(e)) from e
    return {path.split("/templates/", 1)[1]: text for path, text in files.items()}


def _by_command(values: Object, name: str, namespace: str, chart: Path) -> dict[str, str]:
    if shutil.which("helm") is None:
        raise AssertionError(
            "Helm was not found: `make test-chart` brings it, or put `helm` 3.14 or newer on PATH."
        )
    asked = subprocess.run(
        ["helm", "template", name, chart, "-n", namespace, "--kube-version", "1.34.0", "-f", "-"],
        input=json.dumps(values), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode:
        raise Refused(asked.stderr)
    return {"all": asked.stdout}
