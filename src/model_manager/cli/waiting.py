"""Waiting for long work of the service, by looking again and again at what it says of itself.

Looking (level) and not listening for events (edge): a lost connection or a restarted service then costs
one look.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from model_manager.cli import output
from model_manager.cli.exit_codes import NotReachable
from model_manager.cli.progress import Display, describe, display
from model_manager.errors import ActivationFailed, WorkFailed

if TYPE_CHECKING:
    from model_manager.cli.client import Client

LOOK_EVERY = 0.1
"""Seconds between two looks: quick for the eye, and a handful of cheap requests for the service."""

PATIENCE = 30.0
"""Seconds that a service may be away (restarting) before waiting gives up."""

Pause = Callable[[float], None]


def wait_for_job(client: "Client", job_id: str, pause: Pause = time.sleep) -> dict[str, Any]:
    """The job once it is completed. Raises WorkFailed with its own reason, or when it was cancelled."""
    with display() as shown:
        while True:
            job = _look(client, pause, "jobs", job_id)
            if job["status"] not in ("pending", "running"):
                break
            shown.show(_doing(job), job.get("progress"))
            pause(LOOK_EVERY)
    if job["status"] == "completed":
        return job
    if job["status"] == "cancelled":
        raise WorkFailed(
            f"Job {job_id} was cancelled.", f"`model-manager jobs retry {job_id}` runs it again."
        )
    raise WorkFailed(
        job["error"] or f"Job {job_id} failed.", job["hint"] or f"See `model-manager jobs show {job_id}`."
    )


def wait_for_activation(client: "Client", activation_id: str, pause: Pause = time.sleep) -> dict[str, Any]:
    """The activation once its model serves. Raises ActivationFailed with cause, hint and last log lines."""
    with display() as shown:
        while True:
            activation = _look(client, pause, "activations", activation_id)
            if activation["result"] is not None and not _starting_again(client, pause, activation):
                break
            _show_phase(client, pause, activation, shown)
            pause(LOOK_EVERY)
    if activation["result"] == "active":
        return activation
    raise _failed(activation)


def _starting_again(client: "Client", pause: Pause, activation: dict[str, Any]) -> bool:
    """Whether a model that was active once is on its way up again, as after a restart of the service."""
    if activation["result"] != "active":
        return False
    slot = _look(client, pause, "slots", activation["slot"])
    return bool(slot["state"] == "starting" and slot["desired"]["id"] == activation["id"])


def progress_text(job: dict[str, Any]) -> str:
    return describe(job.get("progress"))


def _show_phase(client: "Client", pause: Pause, activation: dict[str, Any], shown: Display) -> None:
    progress = None
    if activation["phase"] == "installing" and activation.get("jobId"):
        progress = _look(client, pause, "jobs", activation["jobId"]).get("progress")
    shown.show(f"{activation['modelId']}: {activation['phase']}", progress)


def _doing(job: dict[str, Any]) -> str:
    return f"{job['type']} {job['key']}: {job['status']}"


def _failed(activation: dict[str, Any]) -> ActivationFailed:
    model, result = activation["modelId"], activation["result"]
    for line in activation.get("logTail") or ():
        output.note(f"  | {line}")
    reason = str(activation.get("reason") or "no reason was given")
    hint = str(activation.get("hint") or "")
    if result == "restored":
        hint = f"{hint} The last good model serves again.".strip()
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
