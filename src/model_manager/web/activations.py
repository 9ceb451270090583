"""`/activations`: attempts to make a slot serve a model, and how they ended."""

from msgspec import Struct

from model_manager import commands
from model_manager.commands import Activation, Parts
from model_manager.http.routing import Request, Route
from model_manager.web.models import Wait
from model_manager.web.paging import Limited


class ActivationsQuery(Limited):
    slot: str | None = None


class ActivationList(Struct, rename="camel"):
    activations: list[Activation]


async def list_activations(parts: Parts, query: ActivationsQuery) -> ActivationList:
    """Activations, newest first."""
    found = await commands.list_activations(parts, slot=query.slot, limit=query.limit)
    return ActivationList(found)


async def get_activation(parts: Parts, activation_id: str, query: Wait) -> Activation:
    """One activation; with `wait`, as soon as it has ended or the seconds are over."""
    if query.wait:
        return await commands.wait_activation(parts, activation_id, query.wait)
    return await commands.get_activation(parts, activation_id)


async def cancel_activation(parts: Parts, activation_id: str, request: Request) -> Activation:
    """Give up an activation that is under way; the last good model serves again."""
    return await commands.cancel_activation(parts, activation_id, request.actor)


ROUTES = (
    Route("GET", "/activations", list_activations),
    Route("GET", "/activations/{activation_id}", get_activation),
    Route("POST", "/activations/{activation_id}/cancel", cancel_activation),
)
