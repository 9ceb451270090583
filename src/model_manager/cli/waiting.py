"""Waiting for long work of the service, by looking again and again at what it says of itself.

Looking (level) and not listening for events (edge): a lost connection or a restarted service then costs
one look.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from model_manager.cli import output
from model_manager.cli.exit_codes import NotReachable, TimedOut
from model_manager.cli.progress import Display, describe, display
from model_manager.errors import ActivationFailed, WorkFailed

if TYPE_CHECKING:
    from model_manager.cli.client import Client

LOOK_EVERY = 0.1
"""Seconds between two looks: quick for the eye, and a handful of cheap requests for the service."""

PATIENCE = 30.0
"""Seconds that a service may be away (restarting) before waiting gives up."""

INSTALL = "weight_install"
"""The type of an install's job."""

Pause = Callable[[float], None]


def wait_for_job(
    client: "Client", job_id: str, pause: Pause = time.sleep, timeout: float | None = None
) -> dict[str, Any]:
    """The job once it is completed. Raises WorkFailed with its own reason, or when it was cancelled; TimedOut."""
    attempts, limit = _Attempts(), _Limit(timeout, f"Job {job_id} is not done", f"jobs wait {job_id}")
    with display() as shown:
        while True:
            job = _look(client, pause, "jobs", job_id)
            if job["status"] not in ("pending", "running"):
                break
            shown.show(_doing(job) + attempts.words(job), job.get("progress"))
            limit.pause(pause)
    if job["status"] == "completed":
        return job
    if job["status"] == "cancelled":
        raise WorkFailed(
            f"Job {job_id} was cancelled.", f"`model-manager jobs retry {job_id}` runs it again."
        )
    raise WorkFailed(
        job["error"] or f"Job {job_id} failed.", job["hint"] or f"See `model-manager jobs show {job_id}`."
    )


def wait_for_activation(
    client: "Client", activation_id: str, pause: Pause = time.sleep, timeout: float | None = None
) -> dict[str, Any]:
    """The activation once its model serves. Raises ActivationFailed with cause, hint and last log lines; TimedOut."""
    attempts = _Attempts()
    limit = _Limit(timeout, f"Activation {activation_id} is not done", f"activations show {activation_id}")
    with display() as shown:
        while True:
            activation = _look(client, pause, "activations", activation_id)
            if activation["result"] is not None and not _starting_again(client, pause, activation):
                break
            _show_phase(client, pause, activation, attempts, shown)
            limit.pause(pause)
    if activation["result"] == "active":
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


def _starting_again(client: "Client", pause: Pause, activation: dict[str, Any]) -> bool:
    """Whether a model that was active once is on its way up again, as after a restart of the service."""
    if activation["result"] != "active":
        return False
    slot = _look(client, pause, "slots", activation["slot"])
    return bool(slot["state"] == "starting" and slot["desired"]["id"] == activation["id"])


def progress_text(job: dict[str, Any]) -> str:
    return describe(job.get("progress"))


def _show_phase(
    client: "Client", pause: Pause, activation: dict[str, Any], attempts: "_Attempts", shown: Display
) -> None:
    doing = f"{activation['modelId']}: {activation['phase']}"
    if activation["phase"] != "installing" or not activation.get("jobId"):
        shown.show(doing, None)
        return
    job = _look(client, pause, "jobs", activation["jobId"])
    shown.show(doing + attempts.words(job), job.get("progress"))


def _doing(job: dict[str, Any]) -> str:
    """`Installing the weights of demo: running`."""
    what = "Installing the weights of" if job["type"] == INSTALL else job["type"]
    doing = "waiting" if job["status"] == "pending" else job["status"]
    return f"{what} {subject(job)}: {'being cancelled' if job.get('cancelling') else doing}"


class _Attempts:
    """What the latest attempt of a job failed of. The service forgets it once the next one runs; we do not."""

    def __init__(self) -> None:
        self._reason = ""

    def words(self, job: dict[str, Any]) -> str:
        """`, attempt 2: why the one before failed` while a job is tried again, else nothing."""
        self._reason = job.get("error") or self._reason
        attempt = job.get("attempts", 0) + (job["status"] == "pending")
        if attempt < 2:
            return ""
        return f", attempt {attempt}" + (f": {self._reason}" if self._reason else "")


def subject(job: dict[str, Any]) -> str:
    """The model that a job is about, else the folder."""
    payload = job.get("payload") or {}
    return str(payload.get("modelId") or payload.get("hfModelId") or job.get("key"))


def _failed(activation: dict[str, Any]) -> ActivationFailed:
    model, result = activation["modelId"], activation["result"]
    for line in activation.get("logTail") or ():
        output.note(f"  | {line}")
    reason = str(activation.get("reason") or "no reason was given")
    hint = str(activation.get("hint") or "")
    if result in ("superseded", "cancelled"):
        return ActivationFailed(f"The activation of {model} was {result}: {reason}", hint)
    return ActivationFailed(f"{model} did not become active: {reason}", hint)


def _look(client: "Client", pause: Pause, *path: str) -> dict[str, Any]:
    deadline: float | None = None
    while True:
        try:
            found: dict[str, Any] = client.get(*path)
            return found
        except NotReachable:
            if deadline is None:
                output.note("Model Manager does not answer; waiting for it to come back.")
                deadline = time.monotonic() + PATIENCE
            if time.monotonic() > deadline:
                raise
            pause(1.0)
