"""What a user can ask for, one function each, one file per noun. Web, quickstart and tests call these.

A command writes desired state in one transaction and returns; the slot's loop or the job runner makes it so.
"""

from model_manager.commands.activations import (
    Activation,
    activate,
    cancel_activation,
    forecast,
    get_activation,
    list_activations,
    wait_activation,
)
from model_manager.commands.adoption import adopt
from model_manager.commands.catalog import refresh, render_manifest
from model_manager.commands.doctor import doctor
from model_manager.commands.original import OriginalEvent, OriginalJob, TakenOver, read_original, take_over
from model_manager.commands.parts import Parts, Places, Render, Webhook
from model_manager.commands.slots import (
    Slot,
    active_object,
    deactivate,
    get_slot,
    list_slots,
    slot_logs,
)
from model_manager.commands.weights import delete_weights, install, weights_in_use
from model_manager.commands.why import Why, why_slot

__all__ = [
    "Activation",
    "OriginalEvent",
    "OriginalJob",
    "Parts",
    "Places",
    "Render",
    "Slot",
    "TakenOver",
    "Webhook",
    "Why",
    "activate",
    "active_object",
    "adopt",
    "cancel_activation",
    "deactivate",
    "delete_weights",
    "doctor",
    "forecast",
    "get_activation",
    "get_slot",
    "install",
    "list_activations",
    "list_slots",
    "read_original",
    "refresh",
    "render_manifest",
    "slot_logs",
    "take_over",
    "wait_activation",
    "weights_in_use",
    "why_slot",
]
