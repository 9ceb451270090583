"""The chart's values, their schema and their table say the same."""

import json
import tomllib
from typing import Any

import jsonschema
import pytest
import yaml
from tools import chart_doc

from tests.chart.rendering import CHART, ROOT

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def test_the_readmes_table_is_of_the_values() -> None:
    assert (CHART / "README.md").read_text() == chart_doc.page(), "run `python -m tools.chart_doc`"


def test_every_value_says_what_it_is() -> None:
    rows = chart_doc.values((CHART / "values.yaml").read_text())
    assert len(rows) > 90
    assert [row.path for row in rows if row.default is not None and not row.meaning] == []


def test_the_table_knows_every_value() -> None:
    rows = {row.path for row in chart_doc.values((CHART / "values.yaml").read_text())}
    assert rows >= {
        path for path in _paths(VALUES) if not path.startswith(("resources.", "gitSync.resources."))
    }


def test_the_schema_names_every_value_and_no_other() -> None:
    assert _paths(VALUES) | {"global"} == _named(SCHEMA) | {
        path for path in _paths(VALUES) if "resources." in path
    }


def test_the_defaults_obey_the_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("mode", "daemonset"),
        ("namespace", "AI"),
        ("unknown", 1),
        ("image.repository", "Registry.example.com/x"),
        ("gitSync.repo", "git@github.com:acme/catalog.git"),
        ("gitSync.repo", "https://user:secret@git.example.com/catalog.git"),
        ("gitSync.imageTag", "v3.6.0"),
        ("gitSync.waitSeconds", "30s"),
        ("gitSync.waitseconds", 30),
        ("onepassword.itemPath", "op://vault/item"),
        ("catalog.rootPath", "/catalog"),
        ("active.inferenceServiceName", "Active"),
        ("active.inferenceServiceName", "a" * 41),
        ("weights.inferenceModelRoot", "/models"),
        ("weights.accessModes", ["ReadOnlyMany"]),
        ("state.size", "5 GB"),
        ("state.hostPath", "relative"),
        ("route.host", "https://models.example.com"),
        ("settings", {"MODEL_MANAGER_JOB_CONCURRENCY": 4}),
        ("securityContext.runAsUser", -1),
        ("networkPolicy.from", [{"podselector": {}}]),
    ],
)
def test_what_is_wrong_is_refused(path: str, wrong: Any) -> None:
    values = json.loads(json.dumps(VALUES))
    *groups, key = path.split(".")
    place = values
    for group in groups:
        place = place[group]
    place[key] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA)


def test_the_chart_is_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (CHART / "README.md").read_text()
    links = [part.split(")")[0].split("#")[0] for part in text.split("](")[1:]]
    assert links
    assert [link for link in links if not (CHART / link).exists()] == []


def _paths(values: dict[str, Any], above: str = "") -> set[str]:
    """Of leaves and groups; what a user fills in freely has none below it."""
    found: set[str] = set()
    for key, value in values.items():
        path = f"{above}{key}"
        found.add(path)
        if isinstance(value, dict):
            found |= _paths(value, f"{path}.")
    return found


def _named(schema: dict[str, Any], above: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in schema.get("properties", {}).items():
        found.add(f"{above}{key}")
        found |= _named(value, f"{above}{key}.")
    return found
