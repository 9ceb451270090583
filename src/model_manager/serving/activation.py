"""The activation's state machine, as a pure decision: what is known of one attempt goes in, one step comes out.

    queued ──► installing ──► stopping ──► starting ──► verifying ──► active
       └───────────┴──────────────┴────────────┴────────────┴──► failed ──► restored (the last good one serves again)
                                                              └► superseded, cancelled (a user's later word)

Where the old model was not stopped yet, a failure leaves it as it is. Only a wish for nothing removes what serves.

`serving/control.py` finds out what is known and carries the step out; nothing here waits or acts.
"""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from model_manager.serving.platform import Instance, Observed

Phase = Literal["queued", "installing", "stopping", "starting", "verifying", "active", "failed"]
Result = Literal["active", "failed", "restored", "superseded", "cancelled"]
Word = Literal["pending", "ok", "retry", "wrong"]
"""Verification's last word: still asking, well, no answer yet (ask again), or an answer that waiting cannot mend."""


class Step(StrEnum):
    """What the loop has to do now. AWAIT changes nothing; a FAIL_… ends the attempt."""

    INSTALL = "install"
    ADMIT = "admit"
    STOP_OLD = "stop old"
    AWAIT = "await"
    START_AGAIN = "start again"
    SAY_STARTING = "say starting"
    VERIFY = "verify"
    ACTIVE = "active"
    SERVE = "serve"
    REMOVE = "remove"
    TAKE_BACK = "take back"
    FAIL_INSTALL = "fail: install"
    FAIL_EXIT = "fail: exit"
    FAIL_PLATFORM = "fail: platform"
    FAIL_DEADLINE = "fail: deadline"
    FAIL_VERIFY = "fail: verify"


class Known(Struct, frozen=True):
    """Everything one decision may depend on.

    `verdict` is what verification last said of the instance that is there now; None: it was not asked yet.
    """

    weights_ready: bool = True
    job_ended_badly: bool = False
    observed: Observed = Observed()
    verdict: Word | None = None
    overdue: bool = False


def decide(activation: str, phase: Phase, known: Known) -> Step:
    """The next step of an attempt that is wanted and in `phase`."""
    if phase in ("queued", "installing"):
        return _prepare(phase, known)
    if phase == "active":
        return _keep(activation, known)
    return _switch(activation, phase, known)


def current(activation: str, observed: Observed) -> Instance | None:
    """The newest instance that carries this activation, if one is there."""
    mine = [instance for instance in observed.instances if instance.activation == activation]
    return mine[-1] if mine else None


def others(activation: str, observed: Observed) -> tuple[Instance, ...]:
    """Instances of other activations that are still there: on one GPU the new one has to wait for their end."""
    return tuple(instance for instance in observed.instances if instance.activation != activation)


def left(wanted: str | None, fate: Result | None, observed: Observed) -> Step:
    """What becomes of what is still applied when nothing is wanted (None), or what was wanted has failed.

    `fate`: how the applied activation ended. A failure removes only what failed itself; what another one left in its
    place, whether it serves or was on its way to, goes on.
    """
    if observed.activation is None:
        return Step.AWAIT
    if wanted is None:
        return Step.REMOVE
    if fate in (None, "active", "superseded"):
        return Step.TAKE_BACK
    ready = any(instance.ready for instance in others(observed.activation, observed))
    return Step.AWAIT if ready else Step.REMOVE


def _prepare(phase: Phase, known: Known) -> Step:
    if known.weights_ready:
        return Step.ADMIT
    if phase == "queued":
        return Step.INSTALL
    return Step.FAIL_INSTALL if known.job_ended_badly else Step.AWAIT


def _switch(activation: str, phase: Phase, known: Known) -> Step:
    if known.observed.activation != activation:
        return Step.FAIL_DEADLINE if known.overdue else Step.STOP_OLD
    hopeless = known.observed.trouble is not None and known.observed.trouble.final
    if others(activation, known.observed):
        if hopeless and current(activation, known.observed) is None:
            return Step.FAIL_PLATFORM  # the platform keeps the old one, for it can make no new one
        return Step.FAIL_DEADLINE if known.overdue else Step.AWAIT
    if phase == "stopping":
        return Step.SAY_STARTING
    if hopeless:
        return Step.FAIL_PLATFORM
    return _judge(current(activation, known.observed), known)


def _judge(instance: Instance | None, known: Known) -> Step:
    if instance is not None and (instance.restarts or instance.gave_up or instance.state == "exited"):
        return Step.FAIL_EXIT
    if known.verdict == "wrong":
        return Step.FAIL_VERIFY
    if known.verdict == "ok":
        return Step.ACTIVE
    if known.overdue:
        return Step.FAIL_DEADLINE
    if instance is not None and instance.ready and known.verdict in (None, "retry"):
        return Step.VERIFY
    return Step.AWAIT


def _keep(activation: str, known: Known) -> Step:
    """An active model stays wanted: it is started again when it is not there, and looked at again after a restart."""
    if known.observed.activation != activation:
        return Step.START_AGAIN
    instance = current(activation, known.observed)
    if instance is not None and instance.gave_up:
        return Step.FAIL_EXIT
    if instance is None or not instance.ready:
        return Step.AWAIT  # whatever it answered once: a pod that lost its readiness gets no requests
    if known.verdict == "ok":
        return Step.SERVE
    return Step.AWAIT if known.verdict == "pending" else Step.VERIFY
