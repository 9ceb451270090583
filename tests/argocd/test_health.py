"""The health checks of deploy/argocd on what real servers told: recorded lives of InferenceServices and Services."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.argocd.lua import health

pytestmark = pytest.mark.chart

RECORDED = Path(__file__).parents[1] / "serving" / "kserve" / "recorded"
HERE = Path(__file__).parent / "recorded"

ISVC, KSVC, ITEM = (
    "serving.kserve.io_InferenceService",
    "serving.knative.dev_Service",
    "onepassword.com_OnePasswordItem",
)


def told(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["object"]["kind"] == kind and event["type"] != "DELETED":
            yield event["object"]


def course(path: Path, kind: str, check: str) -> list[str]:
    """The statuses of a life, each once until it changes."""
    found: list[str] = []
    for body in told(path, kind):
        status, message = health(check, body)
        assert message.strip(), "a status without a word to it"
        if found[-1:] != [status]:
            found.append(status)
    return found


def last(path: Path, kind: str, check: str) -> tuple[str, str]:
    return health(check, list(told(path, kind))[-1])


LIVES = {
    "life": ["Progressing", "Healthy", "Progressing", "Healthy", "Progressing"],
    "slow-termination": ["Progressing", "Healthy", "Progressing", "Healthy"],
    "stop-and-crash": [
        *("Progressing", "Healthy", "Progressing", "Healthy"),  # a start and a switch
        *("Progressing", "Suspended", "Progressing", "Healthy"),  # stopped and started again
        *("Progressing", "Healthy", "Degraded", "Progressing"),  # a model that crashes; deleted
    ],
    "evicted": ["Progressing", "Healthy", "Progressing", "Healthy"],
    "node-lost": ["Progressing", "Healthy", "Progressing", "Healthy"],
    "runtime-missing": ["Progressing", "Degraded"],
    "source-missing": ["Progressing", "Degraded"],
    # KServe itself calls these in progress, for ever. Their reason is in the pods, where the manager looks.
    "crash": ["Progressing"],
    "image-missing": ["Progressing"],
    "gpu-missing": ["Progressing"],
    "claim-missing": ["Progressing"],
    "weights-missing": ["Progressing"],
}


@pytest.mark.parametrize("story", LIVES)
def test_the_life_of_an_inference_service(story: str) -> None:
    folder = next(one for one in (HERE, RECORDED) if (one / f"{story}.jsonl").exists())
    assert course(folder / f"{story}.jsonl", "InferenceService", ISVC) == LIVES[story]


def test_a_switch_is_no_failure() -> None:
    """`Ready` is False while the old pod goes; who alerts on Degraded must not be woken by each activation."""
    falling = [
        body
        for body in told(RECORDED / "life.jsonl", "InferenceService")
        for one in body.get("status", {}).get("conditions", ())
        if one["type"] == "Ready" and one["status"] == "False"
    ]
    assert falling
    assert {health(ISVC, body)[0] for body in falling} == {"Progressing"}


def test_the_old_pod_does_not_count_for_the_new_model() -> None:
    """With a rolling update KServe says `Ready` of the old one, while the new one loads."""
    loading = [
        body
        for body in told(HERE / "stop-and-crash.jsonl", "InferenceService")
        for one in body.get("status", {}).get("conditions", ())
        if (one["type"], one["status"]) == ("Ready", "True")
        and body["status"]["modelStatus"]["transitionStatus"] == "InProgress"
    ]
    assert len(loading) == 2
    assert {health(ISVC, body)[0] for body in loading} == {"Progressing"}


def test_a_failure_is_told_with_its_reason() -> None:
    status, message = last(RECORDED / "runtime-missing.jsonl", "InferenceService", ISVC)
    assert (status, message) == ("Degraded", "RuntimeNotRecognized: Waiting for runtime to become available")
    status, message = last(RECORDED / "source-missing.jsonl", "InferenceService", ISVC)
    assert status == "Degraded"
    assert message.startswith("ModelLoadFailed: ")
    assert "Repository Not Found" in message


def test_a_failure_that_is_past_is_past() -> None:
    """KServe keeps `lastFailureInfo` after a recovery."""
    body = list(told(RECORDED / "life.jsonl", "InferenceService"))[4]
    assert health(ISVC, body)[0] == "Healthy"
    body["status"]["modelStatus"]["lastFailureInfo"] = {"reason": "ModelLoadFailed", "message": "long ago"}
    assert health(ISVC, body) == ("Healthy", "It serves.")


SERVICE = HERE / "knative-service.jsonl"


def test_the_life_of_a_knative_service() -> None:
    """Started, given a new image, then one that nobody has; deleted."""
    assert course(SERVICE, "Service", KSVC) == [
        *("Progressing", "Healthy", "Progressing", "Healthy"),
        *("Progressing", "Degraded", "Progressing"),
    ]


def test_an_image_that_is_not_found_is_told() -> None:
    said = dict(health(KSVC, one) for one in told(SERVICE, "Service"))
    assert said["Degraded"].startswith('RevisionFailed: Revision "model-manager-00003" failed')
    assert "Unable to fetch image" in said["Degraded"]


def test_what_is_ready_of_an_older_generation_is_not_ready() -> None:
    """Else Argo CD would go on, and call a rollout done, before Knative has looked at it."""
    stale = [
        one
        for one in told(SERVICE, "Service")
        for condition in one.get("status", {}).get("conditions", ())
        if (condition["type"], condition["status"]) == ("Ready", "True")
        and one["status"]["observedGeneration"] < one["metadata"]["generation"]
    ]
    assert len(stale) == 2
    assert {health(KSVC, one)[0] for one in stale} == {"Progressing"}


@pytest.mark.parametrize("check", [ISVC, KSVC, ITEM])
@pytest.mark.parametrize("status", [None, {}, {"conditions": []}, {"conditions": [{"type": "Odd"}]}])
def test_what_has_told_nothing_is_progressing(check: str, status: dict[str, Any] | None) -> None:
    assert health(check, {"metadata": {"name": "a", "generation": 1}, "status": status})[0] == "Progressing"


def ready(status: str, **more: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, **more}
    return {"metadata": {"name": "hf-token"}, "status": {"conditions": [condition]}}


def test_an_item_of_1password_is_well_once_its_secret_is_written() -> None:
    assert health(ITEM, ready("True"))[0] == "Healthy"
    assert health(ITEM, ready("False", message="no such vault")) == ("Degraded", "no such vault")
    assert health(ITEM, ready("Unknown"))[0] == "Progressing"
