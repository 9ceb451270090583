"""`/models`: what the catalog offers, and making a slot serve one of them."""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from model_manager import commands
from model_manager.catalog.entry import Entry
from model_manager.commands import Activation, Parts
from model_manager.errors import ActivationFailed
from model_manager.http.etags import etag_of
from model_manager.http.routing import Reply, Request, Route, Tagged

MAX_WAIT = 3600
"""Seconds; a proxy will have given up long before."""

_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


class Activate(Struct, forbid_unknown_fields=True):
    """`id`: a model's id or alias. `slot`: the default one when left out."""

    id: str
    slot: str | None = None


class Deactivate(Struct, forbid_unknown_fields=True):
    slot: str | None = None


class Wait(Struct):
    """`wait`: seconds to wait for the end of what was asked for."""

    wait: Annotated[int, Meta(ge=0, le=MAX_WAIT)] | None = None


class InSlot(Struct):
    slot: str | None = None


class ManifestOf(Struct, rename="camel"):
    manifest: dict[str, Any]
    model: Entry


class Applied(Struct, rename="camel"):
    """What became of the InferenceService `name`: created, updated, deleted or already_deleted."""

    action: str
    name: str


class Accepted(Struct, rename="camel"):
    """It is wanted now; `url` tells how it goes on."""

    status: str
    message: str
    activation: Activation
    url: str


class Activated(Struct, rename="camel"):
    """It is served and verified."""

    status: str
    message: str
    model: Entry
    activation: Activation
    inferenceservice: Applied


class Deactivated(Struct, rename="camel"):
    status: str
    message: str
    result: Applied


async def get_model(parts: Parts, model_id: str) -> Tagged[Entry]:
    """One model's entry, as it stands in the catalog."""
    data = msgspec.json.encode(parts.catalog.item(model_id).entry)
    return Tagged(data, etag_of(data))


async def get_manifest(parts: Parts, model_id: str, query: InSlot) -> ManifestOf:
    """The InferenceService that activating a model would want."""
    item = parts.catalog.item(model_id)
    return ManifestOf(commands.render_manifest(parts, item, query.slot), item.entry)


async def activate(
    parts: Parts, body: Activate, query: Wait, request: Request
) -> Reply[Accepted | Activated]:
    """Make a slot serve a model.

    Answers at once that it was accepted, or, with `?wait=30` or the header `Prefer: wait=30`, as soon as
    the model serves and was verified; if it fails within that time, with the problem and its cause.
    """
    entry = parts.catalog.item(body.id).entry
    before = await commands.get_slot(parts, body.slot or parts.default_slot)
    activation = await commands.activate(parts, body.id, slot=body.slot, actor=request.actor)
    seconds = query.wait if query.wait is not None else preferred_wait(request.header("prefer"))
    if seconds:
        activation = await commands.wait_activation(parts, activation.id, seconds)
    if activation.result is None:
        return _accepted(activation)
    if activation.result != "active":
        raise activation_failed(activation)
    applied = Applied("created" if before.desired is None else "updated", activation.slot)
    return Reply(
        Activated("success", f"Model {entry.id} activated", entry, activation, applied),
        200,
        _location(activation),
    )


async def deactivate(parts: Parts, body: Deactivate | None, request: Request) -> Deactivated:
    """Empty a slot, also for the time after every restart."""
    slot = body.slot if body else None
    action, emptied = await commands.deactivate(parts, slot=slot, actor=request.actor)
    message = "Active model deactivated" if action == "deleted" else "Nothing was active"
    return Deactivated("success", message, Applied(action, emptied.name))


def preferred_wait(prefer: str | None) -> int:
    """The seconds of `Prefer: wait=N` (RFC 7240); what is malformed there is to be ignored."""
    match = _PREFER_WAIT.search(prefer or "")
    return min(int(match[1]), MAX_WAIT) if match else 0


def activation_failed(activation: Activation) -> ActivationFailed:
    """The end of an activation that was waited for, as an error with its cause and evidence."""
    reason = activation.reason or "no reason was recorded"
    return ActivationFailed(
        f"{activation.model_id} did not become active: {reason}",
        activation.hint,
        activation=activation.id,
        result=activation.result,
        cause=activation.code,
        exitCode=activation.exit_code,
        logTail=activation.log_tail,
        restoredBy=activation.restored_by,
    )


def _accepted(activation: Activation) -> Reply[Accepted | Activated]:
    location = _location(activation)
    message = f"Activation of {activation.model_id} accepted"
    return Reply(Accepted("accepted", message, activation, location["location"]), 202, location)


def _location(activation: Activation) -> dict[str, str]:
    return {"location": f"/activations/{activation.id}"}


ROUTES = (
    Route("POST", "/models/activate", activate, status=202, also={200: Activated}),
    Route("POST", "/models/deactivate", deactivate),
    Route("GET", "/models/{model_id}", get_model),
    Route("GET", "/models/{model_id}/manifest", get_manifest),
)
