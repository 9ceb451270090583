"""What lies in `deploy/`: dashboard and alerts name what a house really tells, and the unit does what the page says."""

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import yaml
from prometheus_client.parser import text_string_to_metric_families

from model_manager.settings import load
from tests.house import house_settings, open_house, runtime, write_catalog, write_runtimes

pytestmark = pytest.mark.xdist_group("deploy")  # one worker: what its tests share is started once

ROOT = Path(__file__).parent.parent
DASHBOARD = json.loads((ROOT / "deploy/grafana/model-manager.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
UNIT = ROOT / "deploy/systemd/model-manager.service"
OPERATIONS = (ROOT / "docs/operations.md").read_text()

GIVEN = {"instance", "job"}
"""Labels that Prometheus itself adds to whatever it scrapes."""

Scrape = dict[str, set[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scrape]:
    """The names of all metrics of a house in which something happened, each with its labels."""
    folder = tmp_path_factory.mktemp("house")
    write_catalog(folder / "catalog", {"demo": "well"})
    write_runtimes(folder / "runtimes", [runtime("well")])
    async with open_house(house_settings(folder)) as house:
        await house.active("demo")
        assert (await house.chat())[0] == 200
        async with httpx2.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{house.service.url}/metrics")).text
    found: Scrape = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    yield found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


WORDS = {"by", "on", "and", "or", "unless", "without", "ignoring", "bool", "offset"}


def metrics_of(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The names in a PromQL expression, each with the labels it is selected by."""
    variable = re.fullmatch(r"label_values\((.+), (\w+)\)", expression)
    if variable is not None:
        name, labels = next(metrics_of(variable[1]))
        yield name, {*labels, variable[2]}
        return
    bare = re.sub(r"\[[^\]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)", " ", expression)
    for name, selector in re.findall(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(\{[^}]*\})?", _selectors_apart(bare)):
        if name not in WORDS:
            yield name, set(re.findall(r"(\w+)\s*(?:=|!)", re.sub(r'"[^"]*"', '""', selector)))


def _selectors_apart(expression: str) -> str:
    """Without what is compared inside the selectors' strings, which would look like names."""
    return re.sub(r'"[^"]*"', '""', expression)


def grouped_by(expression: str) -> set[str]:
    groups = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression)
    return {label.strip() for group in groups for label in group.split(",")}


@pytest.mark.parametrize(("where", "expression"), list(expressions()), ids=lambda value: str(value)[:40])
async def test_dashboard_and_alerts_name_metrics_and_labels_that_exist(
    where: str, expression: str, scraped: Scrape
) -> None:
    named = list(metrics_of(expression))
    assert named, where
    assert {name for name, _ in named} <= set(scraped), where
    for name, labels in named:
        assert labels <= scraped[name] | GIVEN, f"{where}: {name}"
    known = set().union(*(scraped[name] for name, _ in named)) | GIVEN
    assert grouped_by(expression) <= known, where


def test_the_reading_of_expressions_sees_what_is_wrong() -> None:
    wrong = 'sum by (slit) (rate(model_manager_nothing{slot=~"a{b", stat!="x"}[5m])) > 0 and on (job) up'
    assert list(metrics_of(wrong)) == [("model_manager_nothing", {"slot", "stat"}), ("up", set())]
    assert grouped_by(wrong) == {"slit", "job"}


async def test_every_metric_is_described_in_operations(scraped: Scrape) -> None:
    own = {
        re.sub(r"_(bucket|sum|count|total)$", "", name)
        for name in scraped
        if name.startswith("model_manager_")
    }
    missing = [name for name in sorted(own) if f"`{name}" not in OPERATIONS]
    assert missing == []


def test_the_dashboard_s_panels_do_not_lie_over_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_and_a_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operations.md"
    assert anchor == rule["alert"].lower()
    headings = re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_gives_the_service_time_to_end_and_ends_its_model_servers() -> None:
    service = unit()["Service"]
    limit = load({}, {"HOME": "/root"}).shutdown_timeout
    assert float(service["TimeoutStopSec"].removesuffix("s")) >= limit + 5
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "78"


def test_the_unit_hands_the_token_over_as_a_credential_and_keeps_the_state() -> None:
    text = UNIT.read_text()
    assert "LoadCredential=token:/etc/model-manager/token" in text
    assert "Environment=MODEL_MANAGER_API_TOKEN_FILE=%d/token" in text
    assert "Environment=STATE_PATH=%S/model-manager" in text
    assert unit()["Service"]["StateDirectory"] == "model-manager"
    for name in re.findall(r"^Environment=(\w+)=", text, re.MULTILINE):
        assert f"`{name}`" in (ROOT / "docs/settings.md").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_nothing_wrong_with_the_unit_and_little_exposed(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/model-manager/bin/model-manager", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60)
    assert (verified.returncode, verified.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", copy]
    exposed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert exposed.returncode == 0, exposed.stdout
