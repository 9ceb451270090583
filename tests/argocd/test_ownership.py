"""What of an InferenceService Git and the manager would both write, and whether Argo CD is told to leave it alone."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
APPLICATION = yaml.safe_load((ROOT / "deploy/argocd/application.yaml").read_text())
SETTINGS = yaml.safe_load((ROOT / "deploy/argocd/argocd-cm.yaml").read_text())["data"]
LIFE = ROOT / "tests/serving/kserve/recorded/life.jsonl"
PAIRS = sorted((ROOT / "tests/serving/kserve/recorded/pairs").glob("*.json"))

TRACKED_BY = ("argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance")
"""How Argo CD knows what it may prune: the annotation since 3.0, the label before."""

Object = dict[str, Any]


def services() -> list[Object]:
    """`active-llm` as it was applied first, and after a switch."""
    events = map(json.loads, LIFE.read_text().splitlines())
    found = [one["object"] for one in events if one["resource"] == "inferenceservices"]
    first, last = found[0], found[-1]
    assert first["spec"] != last["spec"]
    return [first, last]


def without(body: Object, pointers: list[str]) -> Object:
    """As Argo CD compares: what the pointers lead to is gone on both sides."""
    body = copy.deepcopy(body)
    for pointer in pointers:
        *way, last = pointer.strip("/").split("/")
        part = body
        for step in way:
            part = part.get(step, {})
        part.pop(last, None)
    return body


def differs(git: Object, live: Object, pointers: list[str]) -> bool:
    wanted, there = without(git, pointers), without(live, pointers)
    return any(
        there.get(part, {}).get(key) != value
        for part in ("metadata", "spec")
        for key, value in wanted.get(part, {}).items()
        if part == "spec" or key in ("labels", "annotations")
    )


def test_a_switch_is_no_difference_for_argo_cd() -> None:
    """Git has the model that was there first; the manager has switched to another one since."""
    (rule,) = APPLICATION["spec"]["ignoreDifferences"]
    git, live = services()
    assert rule["group"] == git["apiVersion"].partition("/")[0]
    assert (rule["kind"], rule["name"]) == (git["kind"], git["metadata"]["name"])
    assert differs(git, live, [])
    assert not differs(git, live, rule["jsonPointers"])


def test_the_rule_holds_for_syncs_too() -> None:
    assert "RespectIgnoreDifferences=true" in APPLICATION["spec"]["syncPolicy"]["syncOptions"]


def test_what_the_manager_wrote_is_the_managers_in_every_application() -> None:
    from model_manager.serving.kserve import api

    rule = yaml.safe_load(
        SETTINGS["resource.customizations.ignoreDifferences.serving.kserve.io_InferenceService"]
    )
    assert rule["managedFieldsManagers"] == [api.MANAGER]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda path: path.stem)
def test_argo_cd_never_takes_the_managers_objects_for_its_own(pair: Path) -> None:
    """What it takes for its own and does not find in Git, it prunes: the model would be gone."""
    assert not [mark for mark in TRACKED_BY if f'"{mark}"' in pair.read_text()]
