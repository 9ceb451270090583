"""`why`: one cause and one next step for each situation that a slot can be in."""

from typing import Any, cast

import pytest

from model_manager.jobs.job import Job
from model_manager.serving.evidence import Evidence
from model_manager.serving.ledger import Row
from model_manager.serving.platform import Difference, Instance, Observed, Trouble
from model_manager.serving.why import Situation, why

AGAIN = "`model-manager slots set s big` tries it again."


def row(activation: str = "a1", model: str = "big", **facts: Any) -> Row:
    usual: dict[str, Any] = {
        "id": activation, "slot": "s", "model_id": model, "entry": cast(Any, None), "entry_hash": "", "revision": "",
        "manifest": {}, "weights": None, "actor": "admin", "seq": 1, "phase": "starting", "result": None, "code": "",
        "reason": "", "hint": "", "exit_code": None, "log_tail": [], "evidence": Evidence(),
        "restored_by": None, "job_id": None,
        "created_at": "", "phase_at": "10:00", "ended_at": None,
    }  # fmt: skip
    return Row(**usual | facts)


def job(status: Any, **facts: Any) -> Job:
    return Job("j1", "weight_install", "big", status, {}, "admin", "", "", **facts)


def seen(*instances: Instance, activation: str | None = "a1", trouble: Trouble | None = None) -> Observed:
    return Observed(activation, instances, trouble)


def one(state: Any = "running", activation: str = "a1", **facts: Any) -> Instance:
    return Instance(f"pod-{activation}", activation, state, **facts)


ACTIVE = row(phase="active", result="active")
FAILED = row(
    "a0",
    phase="failed",
    result="restored",
    code="out_of_memory",
    reason="It took too much.",
    hint="Use less.",
)
ENDED = row("a0", result="failed")
GPU = Trouble("gpu_missing", "No node has enough free nvidia.com/gpu.", "Stop what holds it.")
PROBE = Trouble("not_ready", "its Startup probe fails: 503.", "It may load.")
HELD = Trouble("deleting", "It is held.", "")
LOST = Trouble("node_lost", "The node is gone.", "See it.")
AWAY = Trouble("unavailable", "The Kubernetes API server cannot be reached.", "This is tried again.")

ARGS = Difference("spec.args", ["--x"], ["--y"], "kubectl-edit")

SITUATIONS: list[tuple[str, Situation, str, str]] = [
    ("empty", Situation("s"), "Nothing is wanted", "`model-manager models` lists"),
    ("empty", Situation("s", None, FAILED), "Nothing is wanted", "`model-manager models` lists"),
    ("deleting", Situation("s", observed=seen(trouble=HELD)), "Nothing is wanted of this slot. It is held.", "Wait;"),
    ("serving", Situation("s", ACTIVE, None, "big", True, seen(one(ready=True))), "big serves, as", "Nothing is to be"),
    ("serving", Situation("s", ACTIVE, None, "big", True, drift=[ARGS, Difference("spec.x", 1, 2)]),
     "big serves, but not as it was applied: kubectl-edit, somebody else changed spec.args, spec.x.", "DRIFT=repair"),
    ("serving", Situation("s", ACTIVE, None, "big", True, drift=[ARGS] * 5), "spec.args and 2 more fields.", "show s`"),
    # What was asked for failed.
    ("out_of_memory", Situation("s", row(model="demo", phase="active", result="active"), FAILED, "demo", True),
     "big failed: It took too much. demo serves instead.", f"Use less. {AGAIN}"),
    ("out_of_memory", Situation("s", row(model="demo"), FAILED), "demo is being put back (starting).", "Use less."),
    ("out_of_memory", Situation("s", FAILED, FAILED), "Nothing serves.", AGAIN),
    ("unknown", Situation("s", ENDED, ENDED), "for a reason that was not recorded", AGAIN),
    # It is on its way.
    ("queued", Situation("s", row(phase="queued"), None, "demo"), "waits for its turn; demo still serves.", "Wait;"),
    ("installing", Situation("s", row(phase="installing"), job=job("running")),
     "The weights of big are being installed.", "Wait; `model-manager jobs wait j1`"),
    ("installing", Situation("s", row(phase="installing"), job=job("pending")), "wait to be installed", "Wait;"),
    ("hub_down", Situation("s", row(phase="installing"),
                           job=job("pending", error={"code": "hub_down", "sentence": "It is away.", "hint": "Wait."})),
     "not there yet; the last try of its job failed: It is away.", "Wait."),
    ("stopping", Situation("s", row(), observed=seen(one("stopping", "a0"))), "has ended: pod-a0.", "Wait; what"),
    ("starting", Situation("s", row(), observed=seen(one())), "big is loading, since 10:00.", "Wait;"),
    ("verifying", Situation("s", row(phase="verifying"), observed=seen(one(ready=True))), "being verified", "Wait;"),
    ("gpu_missing", Situation("s", row(), observed=seen(trouble=GPU)), "No node has enough", "Stop what holds it."),
    ("not_ready", Situation("s", row(), observed=seen(one(), trouble=PROBE)), "Startup probe fails", "It may load."),
    ("unavailable", Situation("s", row(), trouble=AWAY), "cannot be reached", "This is tried again."),
    ("arguments", Situation("s", row(), observed=seen(one("exited", restarts=1, exit_code=2)),
                            log=["error: unrecognized arguments: --x"]),
     "these arguments: --x. It is started", "Remove"),
    # It was active, and does not serve now.
    ("node_lost", Situation("s", ACTIVE, observed=seen(one(), trouble=LOST)),
     "big does not serve: The node is gone.", "See it."),
    ("out_of_gpu_memory", Situation("s", ACTIVE, observed=seen(one(restarts=2, exit_code=1), trouble=PROBE),
                                    log=["torch.OutOfMemoryError: HIP out of memory."]), "GPU ran out of", "Lower"),
    ("ended", Situation("s", ACTIVE, observed=seen(one("exited", restarts=5, gave_up=True, exit_code=3)), log=["odd"]),
     "for a reason not known here. Its last lines: odd. It is not started again.", "Look at the whole log"),
    ("starting", Situation("s", ACTIVE, observed=seen(activation=None)), "It is not there any more", "Wait;"),
    ("verifying", Situation("s", ACTIVE, observed=seen(one(ready=True))), "asked for its name and a token", "Wait;"),
    ("not_ready", Situation("s", ACTIVE, observed=seen(one())), "does not pass its health probe.", "If its log"),
    ("unknown", Situation("s", ACTIVE, observed=seen(one("starting")), log=["one", "", "two"]),
     "Why big does not serve is not known here. Its last lines: one | two", "Look at the whole log"),
    ("unknown", Situation("s", ACTIVE, observed=seen()), "not known here. It wrote nothing.", "Look at"),
    # That nothing serves is more urgent than that another one failed before.
    ("gpu_missing", Situation("s", ACTIVE, FAILED, observed=seen(trouble=GPU)), "No node has enough", "Stop what"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "now", "cause", "step"), SITUATIONS)
def test_one_cause_and_one_next_step(code: str, now: Situation, cause: str, step: str) -> None:
    found = why(now)
    assert (found.code, cause in found.sentence) == (code, True), found
    assert step in found.hint
    assert found.hint.endswith(".")
