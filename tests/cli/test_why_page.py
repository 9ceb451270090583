"""The sample of docs/why.md, held to what the command prints of a failure that was recorded on a real cluster."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from model_manager.serving.evidence import Capacity, Evidence
from model_manager.serving.kserve import evidence
from model_manager.serving.kserve.diagnose import find
from model_manager.serving.why import Situation, why
from tests.cli.conftest import Run
from tests.cli.service import Service
from tests.cli.test_why import GOOD, SLOT
from tests.serving.test_why import row

ROOT = Path(__file__).parents[2]
STORY = ROOT / "tests/serving/kserve/recorded/gpu-missing.jsonl"


def recorded(resource: str) -> list[dict[str, Any]]:
    """The objects of one resource as they were at the end."""
    lines = [json.loads(line) for line in STORY.read_text().splitlines()]
    of = {line["object"]["metadata"]["uid"]: line["object"] for line in lines if line["resource"] == resource}
    return list(of.values())


def test_the_sample_is_what_is_printed(run: Run, service: Service) -> None:
    (isvc,), pods = recorded("inferenceservices"), recorded("pods")
    events = [event for event in recorded("events") if event["type"] == "Warning"]
    found = find(isvc, pods, pods, events)
    assert found is not None
    failed = row("a0", result="restored", code=found[0].code, reason=found[0].sentence, hint=found[0].hint)
    active = row(model="demo", phase="active", result="active")
    cause = why(Situation("active-llm", active, failed, "demo", True))
    seen = Evidence(
        evidence.conditions(isvc), tuple(evidence.pod(pod, "") for pod in pods),
        evidence.warnings("active-llm", events), (Capacity("gpu-1", "nvidia.com/gpu", 1, 0),),
    )  # fmt: skip
    service.on("GET", "/slots", {"slots": [SLOT]})
    service.on(
        "GET", "/slots/active-llm", SLOT | {"lastFailure": GOOD | {"modelId": "big", "phase": "failed"}}
    )
    service.on("GET", "/history", {"events": []})
    service.on("GET", "/catalog/problems", {"problems": []})
    service.on("GET", "/slots/active-llm/why", {
        "slot": "active-llm", "serving": "demo", "code": cause.code, "cause": cause.sentence, "next": cause.hint,
        "evidence": msgspec.to_builtins(seen),
    })  # fmt: skip
    printed = run("why").out
    page = (ROOT / "docs/why.md").read_text()
    sample = re.findall(r"```text\n\$ model-manager why\n(.*?)```", page, re.DOTALL)[0]
    for part in sample.split("  …\n"):
        assert part in printed
