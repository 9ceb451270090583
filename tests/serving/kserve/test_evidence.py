"""What is shown of a slot on a cluster: from recorded stories, and from what may not be read."""

import json
from pathlib import Path
from typing import Any

from model_manager.serving.evidence import Capacity, Evidence
from model_manager.serving.kserve import evidence
from model_manager.serving.kserve.gpus import count
from tests.serving import ground
from tests.serving.ground import SLOT, manifest
from tests.serving.kserve.conftest import Connect
from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_kserve import FakeKServe
from tests.waiting import until


def last(story: Path, resource: str) -> list[dict[str, Any]]:
    """The objects of one resource as they were at the end."""
    found: dict[str, dict[str, Any]] = {}
    for line in map(json.loads, story.read_text().splitlines()):
        if line["resource"] == resource:
            found[line["object"]["metadata"]["uid"]] = line["object"]
    return list(found.values())


def test_a_pod_is_told_with_what_its_container_waits_for_and_how_it_ended(recorded: Path) -> None:
    (crashed,) = last(recorded / "crash.jsonl", "pods")
    shown = evidence.pod(crashed, "")
    assert (shown.phase, shown.node, shown.ready, shown.exit_code) == ("Running", "gpu-1", False, 2)
    assert shown.restarts >= 1
    assert "CrashLoopBackOff: back-off" in shown.message
    assert "unrecognized arguments: --no-such-flag" in shown.message
    (missing,) = last(recorded / "source-missing.jsonl", "pods")
    assert "Repository Not Found" in evidence.pod(missing, "").message, (
        "of the initializer, not of what it delays"
    )
    (unscheduled,) = last(recorded / "gpu-missing.jsonl", "pods")
    scheduled = next(one for one in evidence.pod(unscheduled, "").conditions if one.type == "PodScheduled")
    assert (scheduled.status, scheduled.reason) == ("False", "Unschedulable")


def test_warnings_are_the_newest_without_kserves_own_noise(recorded: Path) -> None:
    events = [one for one in last(recorded / "node-lost.jsonl", "events") if one["type"] == "Warning"]
    assert any("object has been modified" in one["message"] for one in events)
    shown = evidence.warnings(SLOT, events)
    assert [one.reason for one in shown] == ["Unhealthy", "NodeNotReady", "InferenceServiceNotReady"]
    assert shown[1].about.startswith("Pod/active-llm-predictor-")
    assert evidence.warnings("active", events) == (), "of another slot whose name begins alike"
    many = [{**events[0], "message": "x", "lastTimestamp": f"2026-01-01T00:00:{i:02}Z"} for i in range(50)]
    assert evidence.warnings(SLOT, many)[0].time.endswith("30Z")
    scheduler = {**events[0], "message": "x", "count": None, "lastTimestamp": None, "eventTime": "now"}
    assert (evidence.warnings(SLOT, [scheduler])[0].time, evidence.warnings(SLOT, [scheduler])[0].count) == (
        "now",
        1,
    )


def node(name: str, **resources: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "8", **resources}}}


def holding(on: str, phase: str = "Running") -> dict[str, Any]:
    limits = {"nvidia.com/gpu": "1", "cpu": "2"}
    return {
        "spec": {"nodeName": on, "containers": [{"resources": {"limits": limits}}]},
        "status": {"phase": phase},
    }


def test_free_gpus_are_those_that_no_pod_holds() -> None:
    nodes = [node("b", **{"nvidia.com/gpu": "2"}), node("a", **{"amd.com/gpu": "1"}), node("plain")]
    pods = [holding("b"), holding("b", "Failed"), {}]
    assert count(nodes, pods) == (Capacity("a", "amd.com/gpu", 1, 1), Capacity("b", "nvidia.com/gpu", 2, 1))
    assert [one.free for one in count(nodes, None)] == [None, None]


async def test_the_platform_shows_all_of_it(api: FakeApi, kserve: FakeKServe, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest())
    instance = await ground.ready(platform)
    (pod,) = kserve.pods(SLOT)
    kserve.warn(pod, "Unhealthy", "Readiness probe failed: 503")
    api.store.put(("pods", "elsewhere", "other"), {"metadata": {"labels": {}}, **holding("gpu-1")})
    for phase in ("Succeeded", "Failed"):
        api.store.put(("pods", "elsewhere", phase), {"metadata": {"labels": {}}, **holding("gpu-1", phase)})

    async def settled() -> Evidence | None:
        """What KServe says of the InferenceService follows its pods a little late."""
        seen = await platform.evidence(SLOT)
        ready = ("Ready", "True") in [(one.type, one.status) for one in seen.conditions]
        return seen if ready and seen.events else None

    shown = await until(settled)
    assert [(one.name, one.ready) for one in shown.pods] == [(instance.name, True)]
    assert shown.events[0].message == "Readiness probe failed: 503"
    assert shown.capacity == (Capacity("gpu-1", "nvidia.com/gpu", 1, 0),)
    assert shown.unknown == ()
    (listed, *_) = [one for one in reversed(api.asked) if one.path == "/api/v1/pods"]
    assert [one["status"]["phase"] for one in api._list(listed)["items"]] == ["Running", "Running"]


async def test_what_may_not_be_read_is_said(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.observe(SLOT)
    api.forbid("list", "pods")
    shown = await platform.evidence("nobody")
    assert shown.capacity == (Capacity("gpu-1", "nvidia.com/gpu", 1, None),)
    assert shown.unknown[-1].startswith("How many GPUs are free is not known: ")
    assert "list pods" in shown.unknown[-1]
    api.forbid("list", "nodes")
    shown = await platform.evidence("nobody")
    assert (shown.capacity, shown.pods) == ((), ())
    assert shown.unknown[-1].startswith("Which GPUs the nodes have is not known: ")
