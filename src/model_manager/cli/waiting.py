"""Waiting for long work of the service, by looking again and again at what it says of itself.

Looking (level) and not listening for events (edge): a lost connection or a restarted service then costs
one look.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.exit_codes import TimedOut
from model_manager.cli.progress import Display, describe, display
from model_manager.errors import ActivationFailed, WorkFailed

T = TypeVar("T")

LOOK_EVERY = 0.1
"""Seconds between two looks: quick for the eye, and a handful of cheap requests for the service."""

PATIENCE = 30.0
"""Seconds that a service may be away (restarting) before waiting gives up."""

INSTALL = "weight_install"
"""The type of an install's job."""

Pause = Callable[[float], None]


def wait_for_job(
    client: "api.Client", job_id: str, pause: Pause = time.sleep, timeout: float | None = None
) -> "api.types.JobView":
    """The job once it is completed. Raises WorkFailed with its own reason, or when it was cancelled; TimedOut."""
    attempts, limit = _Attempts(), _Limit(timeout, f"Job {job_id} is not done", f"jobs wait {job_id}")
    with display() as shown:
        while True:
            job = _look(client, pause, api.calls.get_job(job_id))
            if job.status not in ("pending", "running"):
                break
            shown.show(_doing(job) + attempts.words(job), job.progress)
            limit.pause(pause)
    if job.status == "completed":
        return job
    if job.status == "cancelled":
        raise WorkFailed(
            f"Job {job_id} was cancelled.", f"`model-manager jobs retry {job_id}` runs it again."
        )
    raise WorkFailed(
        job.error or f"Job {job_id} failed.", job.hint or f"See `model-manager jobs show {job_id}`."
    )


def wait_for_activation(
    client: "api.Client", activation_id: str, pause: Pause = time.sleep, timeout: float | None = None
) -> "api.types.Activation":
    """The activation once its model serves. Raises ActivationFailed with cause, hint and last log lines; TimedOut."""
    attempts = _Attempts()
    limit = _Limit(timeout, f"Activation {activation_id} is not done", f"activations show {activation_id}")
    with display() as shown:
        while True:
            activation = _look(client, pause, api.calls.get_activation(activation_id))
            if activation.result is not None and not _starting_again(client, pause, activation):
                break
            _show_phase(client, pause, activation, attempts, shown)
            limit.pause(pause)
    if activation.result == "active":
        return activation
    raise _failed(activation)


class _Limit:
    """The time of `--timeout`, from now on; no limit where there is none."""

    def __init__(self, seconds: float | None, sentence: str, command: str) -> None:
        self._seconds, self._sentence, self._command = seconds, sentence, command
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def pause(self, pause: Pause) -> None:
        """Until the next look. Raises TimedOut once the time is over."""
        left = LOOK_EVERY if self._deadline is None else self._deadline - time.monotonic()
        if self._seconds is not None and left <= 0:
            raise TimedOut(
                f"{self._sentence} after {output.human_seconds(self._seconds)}.",
                f"The service goes on with it: `model-manager {self._command}`.",
            )
        pause(min(LOOK_EVERY, left))


def _starting_again(client: "api.Client", pause: Pause, activation: "api.types.Activation") -> bool:
    """Whether a model that was active once is on its way up again, as after a restart of the service."""
    if activation.result != "active":
        return False
    slot = _look(client, pause, api.calls.get_slot(activation.slot))
    return slot.state == "starting" and slot.desired is not None and slot.desired.id == activation.id


def progress_text(job: "api.types.JobView") -> str:
    return describe(job.progress)


def _show_phase(
    client: "api.Client",
    pause: Pause,
    activation: "api.types.Activation",
    attempts: "_Attempts",
    shown: Display,
) -> None:
    doing = f"{activation.model_id}: {activation.phase}"
    if activation.phase != "installing" or not activation.job_id:
        shown.show(doing, None)
        return
    job = _look(client, pause, api.calls.get_job(activation.job_id))
    shown.show(doing + attempts.words(job), job.progress)


def _doing(job: "api.types.JobView") -> str:
    """`Installing the weights of demo: running`."""
    what = "Installing the weights of" if job.type == INSTALL else job.type
    doing = "waiting" if job.status == "pending" else job.status
    return f"{what} {subject(job)}: {'being cancelled' if job.cancelling else doing}"


class _Attempts:
    """What the latest attempt of a job failed of. The service forgets it once the next one runs; we do not."""

    def __init__(self) -> None:
        self._reason = ""

    def words(self, job: "api.types.JobView") -> str:
        """`, attempt 2: why the one before failed` while a job is tried again, else nothing."""
        self._reason = job.error or self._reason
        attempt = job.attempts + (job.status == "pending")
        if attempt < 2:
            return ""
        return f", attempt {attempt}" + (f": {self._reason}" if self._reason else "")


def subject(job: "api.types.JobView") -> str:
    """The model that a job is about, else the folder."""
    return job.payload.model_id or job.payload.hf_model_id or job.key


def _failed(activation: "api.types.Activation") -> ActivationFailed:
    model, result = activation.model_id, activation.result
    for line in activation.log_tail:
        output.note(f"  | {line}")
    reason, hint = activation.reason or "no reason was given", activation.hint
    if result in ("superseded", "cancelled"):
        return ActivationFailed(f"The activation of {model} was {result}: {reason}", hint)
    return ActivationFailed(f"{model} did not become active: {reason}", hint)


def _look(client: "api.Client", pause: Pause, call: "api.Call[T]") -> T:
    deadline: float | None = None
    while True:
        try:
            return client.send(call)
        except api.NotReachable:
            if deadline is None:
                output.note("Model Manager does not answer; waiting for it to come back.")
                deadline = time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                raise
            pause(1.0)
