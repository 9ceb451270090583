"""The activation's state machine as a table: what is known, and the one step that follows."""

import pytest

from model_manager.serving.activation import Known, Result, Step, current, decide, left, others
from model_manager.serving.platform import Instance, Observed, Trouble

OLD = Instance(name="p0", activation="old", state="running", ready=True)
OLD_STOPPING = Instance(name="p0", activation="old", state="stopping", ready=True)
STARTING = Instance(name="p1", activation="new", state="starting")
READY = Instance(name="p1", activation="new", state="running", ready=True)
UNREADY = Instance(name="p1", activation="new", state="running", ready=False)
CRASHED = Instance(name="p1", activation="new", state="exited", restarts=1, exit_code=137)
RESTARTED = Instance(name="p1", activation="new", state="running", ready=True, restarts=1)
GAVE_UP = Instance(name="p1", activation="new", state="exited", restarts=5, gave_up=True)


def seen(*instances: Instance, applied: str | None = "new") -> Observed:
    return Observed(applied, instances)


def troubled(*instances: Instance, final: bool = True) -> Observed:
    return Observed("new", instances, Trouble("runtime_missing", "It does not exist.", "", final))


TABLE = [
    # getting ready: the old model is not touched
    ("queued", Known(weights_ready=False), Step.INSTALL),
    ("queued", Known(weights_ready=True), Step.ADMIT),
    ("installing", Known(weights_ready=False), Step.AWAIT),
    ("installing", Known(weights_ready=False, job_ended_badly=True), Step.FAIL_INSTALL),
    ("installing", Known(weights_ready=True, job_ended_badly=True), Step.ADMIT),
    # the switch
    ("stopping", Known(observed=seen(OLD, applied="old")), Step.STOP_OLD),
    ("stopping", Known(observed=seen(applied=None)), Step.STOP_OLD),
    (
        "stopping",
        Known(observed=seen(applied=None), overdue=True),
        Step.FAIL_DEADLINE,
    ),  # the platform refuses it
    ("stopping", Known(observed=seen(OLD_STOPPING)), Step.AWAIT),
    ("stopping", Known(observed=seen(OLD_STOPPING), overdue=True), Step.FAIL_DEADLINE),
    (
        "stopping",
        Known(observed=troubled(OLD)),
        Step.FAIL_PLATFORM,
    ),  # KServe keeps it: it can make no new pod
    ("stopping", Known(observed=troubled(OLD, final=False)), Step.AWAIT),
    (
        "stopping",
        Known(observed=troubled(OLD_STOPPING, STARTING)),
        Step.AWAIT,
    ),  # it may want the old one's GPU
    ("starting", Known(observed=troubled()), Step.FAIL_PLATFORM),
    ("stopping", Known(observed=seen()), Step.SAY_STARTING),
    ("stopping", Known(observed=seen(STARTING)), Step.SAY_STARTING),
    ("starting", Known(observed=seen(STARTING)), Step.AWAIT),
    ("starting", Known(observed=seen(STARTING), overdue=True), Step.FAIL_DEADLINE),
    ("starting", Known(observed=seen(READY)), Step.VERIFY),
    ("starting", Known(observed=seen(CRASHED)), Step.FAIL_EXIT),
    ("starting", Known(observed=seen(RESTARTED)), Step.FAIL_EXIT),
    ("starting", Known(observed=seen(applied=None)), Step.STOP_OLD),  # the service was killed in between
    ("verifying", Known(observed=seen(READY)), Step.VERIFY),  # likewise: nobody is asking any more
    ("verifying", Known(observed=seen(READY), verdict="pending"), Step.AWAIT),
    ("verifying", Known(observed=seen(READY), verdict="retry"), Step.VERIFY),
    ("verifying", Known(observed=seen(READY), verdict="retry", overdue=True), Step.FAIL_DEADLINE),
    ("verifying", Known(observed=seen(READY), verdict="pending", overdue=True), Step.FAIL_DEADLINE),
    ("verifying", Known(observed=seen(READY), verdict="wrong"), Step.FAIL_VERIFY),
    ("verifying", Known(observed=seen(READY), verdict="ok"), Step.ACTIVE),
    ("verifying", Known(observed=seen(READY), verdict="ok", overdue=True), Step.ACTIVE),
    ("verifying", Known(observed=seen(CRASHED), verdict="ok"), Step.FAIL_EXIT),
    ("verifying", Known(observed=seen(OLD_STOPPING, READY), verdict="ok"), Step.AWAIT),
    # keeping what is active
    ("active", Known(observed=seen(READY), verdict="ok"), Step.SERVE),
    ("active", Known(observed=seen(READY)), Step.VERIFY),
    ("active", Known(observed=seen(UNREADY), verdict="ok"), Step.AWAIT),  # it answered well before
    ("active", Known(observed=seen(CRASHED)), Step.AWAIT),  # the platform starts it again
    ("active", Known(observed=seen(RESTARTED)), Step.VERIFY),
    ("active", Known(observed=seen(RESTARTED), verdict="pending"), Step.AWAIT),
    ("active", Known(observed=seen(GAVE_UP)), Step.FAIL_EXIT),
    ("active", Known(observed=seen(applied=None)), Step.START_AGAIN),
    ("active", Known(observed=seen(OLD, applied="old")), Step.START_AGAIN),
    ("active", Known(observed=seen(READY), overdue=True, verdict="ok"), Step.SERVE),
]


@pytest.mark.parametrize(("phase", "known", "step"), TABLE)
def test_one_step_follows(phase: str, known: Known, step: Step) -> None:
    assert decide("new", phase, known) is step  # type: ignore[arg-type]


def test_the_newest_instance_of_an_activation_counts() -> None:
    second = Instance(name="p2", activation="new", state="starting")
    assert current("new", seen(READY, second)) is second
    assert current("new", seen(OLD)) is None
    assert others("new", seen(OLD, READY)) == (OLD,)


REMAINS = [
    # a user's wish for nothing
    (None, "active", seen(OLD, applied="old"), Step.REMOVE),
    (None, "superseded", seen(OLD, applied="old"), Step.REMOVE),
    (None, "active", seen(applied=None), Step.AWAIT),
    # a failure: only what failed itself goes
    ("new", "failed", seen(CRASHED), Step.REMOVE),
    ("new", "failed", seen(GAVE_UP), Step.REMOVE),
    ("new", "active", seen(OLD, applied="old"), Step.TAKE_BACK),
    ("new", "superseded", seen(OLD, applied="old"), Step.TAKE_BACK),
    ("new", None, seen(OLD, applied="old"), Step.TAKE_BACK),
    ("new", "cancelled", seen(STARTING, applied="third"), Step.REMOVE),
    ("new", "restored", seen(STARTING, applied="third"), Step.REMOVE),
    (
        "new",
        "failed",
        seen(OLD, applied="new"),
        Step.AWAIT,
    ),  # KServe keeps the old pod: it could make no new one
    ("new", "failed", seen(OLD_STOPPING, CRASHED), Step.AWAIT),
    ("new", "failed", seen(applied=None), Step.AWAIT),
]


@pytest.mark.parametrize(("wanted", "fate", "observed", "step"), REMAINS)
def test_only_a_wish_for_nothing_removes_what_serves(
    wanted: str | None, fate: Result | None, observed: Observed, step: Step
) -> None:
    assert left(wanted, fate, observed) is step
