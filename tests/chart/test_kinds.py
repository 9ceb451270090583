"""Objects of others' operators obey those operators' own CRDs, which Go's module proxy has."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.cases import CASES
from tests.chart.rendering import Object, render

MODULES = {
    "onepassword.com": (
        "github.com/1Password/onepassword-operator@v1.8.1",
        "config/crd/bases/onepassword.com_onepassworditems.yaml",
    ),
    "external-secrets.io": (
        "github.com/external-secrets/external-secrets@v1.3.2",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
    "monitoring.coreos.com/podmonitors": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
    ),
    "monitoring.coreos.com/prometheusrules": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
"""By group: where its CRD is. KServe's and Knative's are tried on the real ones, by `make test-cluster`."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", MODULES)
def test_objects_obey_the_crd(source: str, tmp_path: Path) -> None:
    crd = _crd(*MODULES[source], tmp_path)
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    schemas = {
        one["name"]: _strict(one["schema"]["openAPIV3Schema"])
        for one in crd["spec"]["versions"]
        if one["served"]
    }
    objects = [one for values in CASES.values() for one in render(values) if one["kind"] == kind]
    assert objects
    for one in objects:
        version = one["apiVersion"].removeprefix(f"{group}/")
        assert version in schemas, f"{kind} {version} is not served"
        jsonschema.validate(one, schemas[version])


def _crd(module: str, path: str, folder: Path) -> Object:
    if shutil.which("go") is None:
        pytest.skip("Go was not found: it fetches the CRDs")
    (folder / "go.mod").write_text("module crds\n")
    asked = subprocess.run(
        ["go", "mod", "download", "-json", module], cwd=folder, capture_output=True, text=True, check=False
    )
    found = json.loads(asked.stdout or "{}")
    if not found.get("Dir"):
        pytest.skip(f"{module} cannot be fetched: {found.get('Error') or asked.stderr}")
    crd: Object = yaml.safe_load((Path(found["Dir"]) / path).read_text())
    return crd


def _strict(schema: Any) -> Any:
    """As the API server is in a dry run that refuses fields that are not declared."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    properties = schema.get("properties")
    if isinstance(properties, dict) and "additionalProperties" not in schema:
        strict["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if isinstance(pattern := schema.get("pattern"), str) and pattern.startswith("^(?i)"):
        strict["pattern"] = "(?i)^" + pattern.removeprefix("^(?i)")  # as Python wants it
    return strict
