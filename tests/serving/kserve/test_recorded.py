"""Every story that was recorded on a real cluster, told again: the cause that is read from it, at each of its moments.

`python -m tests.cluster.record` records them.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from model_manager.serving.diagnose import diagnose
from model_manager.serving.kserve import ownership
from model_manager.serving.kserve.diagnose import find
from model_manager.serving.kserve.pods import activation_of, by_pod_ip, instances

FOLDER = Path(__file__).parent / "recorded"

ALL_WELL = "-"
LOADS = "not_ready"
"""Also of a model that is on its way: its probe fails until it is loaded."""

STORIES = {
    "life": [LOADS, ALL_WELL, LOADS, ALL_WELL],
    "slow-termination": [LOADS, ALL_WELL, LOADS, ALL_WELL],
    "claim-missing": ["claim_missing"],
    "claim-unbound": ["claim_unbound"],
    "gpu-missing": ["gpu_missing"],
    "image-missing": ["image_missing"],
    "runtime-missing": ["runtime_missing"],
    "weights-missing": ["weights_missing"],
    "source-missing": ["source_missing"],
    "crash": [LOADS, "arguments"],
    "out-of-memory": [LOADS, ALL_WELL, "out_of_memory"],
    "never-ready": [LOADS],
    "readiness-lost": [LOADS, ALL_WELL, LOADS, ALL_WELL],
    "node-lost": [LOADS, ALL_WELL, "node_lost", ALL_WELL],
    "evicted": [LOADS, ALL_WELL, "evicted", ALL_WELL, LOADS, ALL_WELL],
}
"""The causes in their order, from the first on."""


class Cluster:
    """What watches have told so far: objects of each resource by UID."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {"inferenceservices": {}, "pods": {}, "events": {}}

    def hear(self, line: dict[str, Any]) -> None:
        found, item = self.seen[line["resource"]], line["object"]
        if line["type"] == "DELETED":
            found.pop(item["metadata"]["uid"], None)
        else:
            found[item["metadata"]["uid"]] = item

    def cause(self) -> str:
        """As the slot's loop learns it: from the cluster, else from how the model server ended."""
        service = next(iter(self.seen["inferenceservices"].values()), None)
        if service is None:
            return ALL_WELL
        pods, wanted = list(self.seen["pods"].values()), ownership.activation_of(service)
        mine = [pod for pod in pods if activation_of(pod) == wanted]
        events = [event for event in self.seen["events"].values() if event["type"] == "Warning"]
        if found := find(service, pods, mine, events):
            return found[0].code
        for instance in instances(mine, "", by_pod_ip):
            if instance.exit_code is not None:
                tail = [instance.reason]
                return diagnose(phase="starting", exit_code=instance.exit_code, log_tail=tail).code
        return ALL_WELL


def causes(story: Path) -> list[str]:
    cluster, found = Cluster(), []
    for line in story.read_text().splitlines():
        cluster.hear(json.loads(line))
        found.append(cluster.cause())
    told = [code for code, _ in groupby(found)]
    return told[1:] if told[0] == ALL_WELL else told


def test_no_recorded_story_is_left_out() -> None:
    assert STORIES.keys() == {path.stem for path in FOLDER.glob("*.jsonl")}


@pytest.mark.parametrize("story", STORIES)
def test_the_cause_is_read_from_what_the_cluster_said(story: str) -> None:
    assert causes(FOLDER / f"{story}.jsonl") == STORIES[story]
