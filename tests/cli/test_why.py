"""`why`: from what the API knows to what a person needs."""

import json
from typing import Any

import pytest

from model_manager.cli.timeline import Step, timeline
from model_manager.client.types import HistoryEvent
from tests.cli.answers import told
from tests.cli.conftest import Run
from tests.cli.service import Service, problem


def event(second: int, word: str, activation: str = "a2", **facts: Any) -> dict[str, Any]:
    return {
        "id": str(second), "event": f"activation_{word}", "subject": "active-llm", "actor": "admin", "modelId": "big",
        "createdAt": f"2026-11-24T08:00:{second:02}.000Z", "metadata": {"activation": activation, **facts},
    }  # fmt: skip


EVENTS = [
    event(20, "queued", "a3"),
    event(19, "failed", reason="It ran out of memory."),
    event(9, "starting"),
    event(2, "installing", job="j1"),
    event(1, "queued"),
    event(0, "active", "a1"),
]
"""Newest first, as `/history` has them."""

FAILED: dict[str, Any] = {
    "id": "a2", "slot": "active-llm", "modelId": "big", "phase": "failed", "result": "restored",
    "code": "out_of_memory", "reason": "It ran out of memory.", "hint": "Use a smaller one.",
    "exitCode": 137, "logTail": ["loading", "killed"],
    "revision": "1a2b", "actor": "admin", "jobId": "j1", "endedAt": "long ago",
}  # fmt: skip
GOOD: dict[str, Any] = {
    "id": "a3", "slot": "active-llm", "modelId": "demo", "phase": "active", "result": "active", "serving": True,
    "phaseAt": "then", "jobId": None,
}  # fmt: skip
COMING = GOOD | {"id": "a4", "phase": "installing", "result": None, "serving": False, "jobId": "j1"}
SLOT: dict[str, Any] = {
    "name": "active-llm", "state": "active", "desired": GOOD, "serving": "demo", "reason": "", "lastFailure": None,
}  # fmt: skip
WHY: dict[str, Any] = {
    "slot": "active-llm", "state": "active", "serving": "demo", "code": "out_of_memory",
    "cause": "big failed: It ran out of memory. demo serves instead.",
    "next": "Use a smaller one. `model-manager slots set active-llm big` tries it again.",
    "log": ["loading", "killed"],
    "evidence": {
        "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Stopped", "status": "False"},
            {"type": "PredictorReady", "status": "False", "reason": "Waiting", "message": "for a pod"},
        ],
        "pods": [
            {"name": "pod-1", "activation": "a2", "phase": "Running", "node": "gpu-1", "restarts": 2, "exitCode": 137,
             "message": "OOMKilled", "conditions": [{"type": "Ready", "status": "False"}]},
            {"name": "pod-2", "activation": "a2", "phase": "Running", "ready": True, "leaving": True},
        ],
        "events": [{"time": "then", "about": "Pod/pod-1", "reason": "BackOff", "message": "again", "count": 3}],
        "capacity": [
            {"place": "gpu-1", "resource": "nvidia.com/gpu", "total": 1, "free": 0},
            {"place": "gpu-2", "resource": "nvidia.com/gpu", "total": 2, "free": None},
            {"place": "this machine", "resource": "memory", "total": None, "free": 2**30},
        ],
        "unknown": ["How many GPUs are free is not known: it may not."],
    },
}  # fmt: skip
JOB = {
    "id": "j1", "type": "weight_install", "key": "big", "status": "running", "payload": {"modelId": "big"},
    "progress": {"bytesDone": 1, "bytesTotal": 4},
}  # fmt: skip
PROBLEMS = [
    {
        "file": "models/big.json",
        "line": 3,
        "column": 1,
        "severity": "error",
        "message": "no such runtime",
        "hint": "",
    },
    {
        "file": "models/other.json",
        "line": 1,
        "column": 1,
        "severity": "error",
        "message": "not yours",
        "hint": "",
    },
]


def test_the_timeline_of_one_activation() -> None:
    events = told(list[HistoryEvent], EVENTS)
    assert timeline(events, "a2") == [
        Step("2026-11-24T08:00:01.000Z", "queued", 1.0),
        Step("2026-11-24T08:00:02.000Z", "installing", 7.0),
        Step("2026-11-24T08:00:09.000Z", "starting", 10.0),
        Step("2026-11-24T08:00:19.000Z", "failed", None, "It ran out of memory."),
    ]
    assert timeline(events, "nix") == []
    others = [{"event": "model_activated", "metadata": {"activation": "a2"}}, {"event": "x"}]
    assert timeline(told(list[HistoryEvent], others), "a2") == []


def answering(service: Service, slot: dict[str, Any]) -> None:
    service.on("GET", "/slots/active-llm", slot)
    service.on("GET", "/slots/active-llm/why", WHY)
    service.on("GET", "/slots", {"slots": [slot]})
    service.on("GET", "/history", {"events": EVENTS})
    service.on("GET", "/jobs/j1", JOB)
    service.on("GET", "/catalog/problems", {"problems": PROBLEMS})


def test_a_failure_with_all_that_is_known_of_it(run: Run, service: Service) -> None:
    answering(service, SLOT | {"lastFailure": FAILED})
    code, out, err = run("why")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:3] == [
        "active-llm: demo is active.",
        "cause big failed: It ran out of memory. demo serves instead. (out_of_memory)",
        "next Use a smaller one. `model-manager slots set active-llm big` tries it again.",
    ]
    for line in (
        "desired demo (activation a3: active, then)", "serving demo", "big failed (activation a2):", "exit code 137",
        "PredictorReady is False: Waiting: for a pod",
        "pod-1: Running, not ready, on gpu-1, 2 restarts, exit code 137; OOMKilled", "Ready is False",
        "pod-2: Running, ready, leaving", "then Pod/pod-1 BackOff: again (3 times)",
        "gpu-1: 0 of 1 nvidia.com/gpu free", "gpu-2: ? of 2 nvidia.com/gpu free", "this machine: 1.1 GB memory free",
        "How many GPUs are free is not known: it may not.", "| loading", "| killed", "08:00:02.000 installing 7.0 s",
        "08:00:19.000 failed It ran out of memory.", "models/big.json:3: error: no such runtime",
    ):  # fmt: skip
        assert line in lines, line
    assert "not yours" not in out
    assert "Stopped is False" not in lines


def test_weights_on_their_way(run: Run, service: Service) -> None:
    answering(service, SLOT | {"desired": COMING, "state": "installing"})
    out = run("why", "active-llm").out
    assert "installing" in out
    assert "job       j1" in out and "25 %, 1 B of 4 B" in out


@pytest.mark.parametrize(
    "job", [JOB | {"status": "completed"}, problem(404, "It is gone.")], ids=["done", "gone"]
)
def test_a_job_that_explains_nothing_is_left_out(run: Run, service: Service, job: Any) -> None:
    answering(service, SLOT | {"lastFailure": FAILED})
    service.on("GET", "/jobs/j1", job)
    assert "Its weights" not in run("why").out


def test_an_empty_slot(run: Run, service: Service) -> None:
    answering(service, SLOT | {"desired": None, "state": "empty", "serving": None})
    service.on(
        "GET", "/slots/active-llm/why", WHY | {"code": "empty", "cause": "Nothing is wanted of this slot."}
    )
    code, out, _ = run("why")
    assert code == 0
    assert "desired  nothing" in out
    assert "Nothing is wanted of this slot. (empty)" in out
    assert "Seen:" not in out
    assert "GET /history" not in service.paths()


def test_what_others_changed_is_shown_although_all_is_well(run: Run, service: Service) -> None:
    answering(service, SLOT)
    drift = [{"field": "spec.replicas", "wanted": 1, "found": 2, "by": "argocd"}]
    service.on(
        "GET", "/slots/active-llm/why", WHY | {"code": "serving", "cause": "demo serves.", "drift": drift}
    )
    assert "Changed by others:\n  spec.replicas by argocd: 1 is 2 now\n" in run("why").out


def test_programs_get_it_as_one_object(run: Run, service: Service) -> None:
    answering(service, SLOT | {"lastFailure": FAILED})
    found = json.loads(run("why", "-o", "json").out)
    assert found["slot"]["lastFailure"]["exitCode"] == 137
    assert [step["phase"] for step in found["timeline"]] == ["queued", "installing", "starting", "failed"]
    assert [problem["file"] for problem in found["catalogProblems"]] == ["models/big.json"]
    assert found["why"]["next"].startswith("Use a smaller one.")
