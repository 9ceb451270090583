"""`/activations`: attempts to make a slot serve a model, and how they ended."""

from msgspec import Struct

from model_manager import commands
from model_manager.commands import Activation, Parts
from model_manager.http.routing import Request, Route
from model_manager.serving.activation import Result
from model_manager.serving.forecast import Forecast
from model_manager.web.models import Wait
from model_manager.web.paging import Paged, cursor_after, sequence


class ActivationsQuery(Paged):
    """`model` is the model's id; `result` how it ended (those under way have none yet)."""

    slot: str | None = None
    model: str | None = None
    result: Result | None = None


class ForecastQuery(Struct):
    """`model`: an id or alias. `slot`: the default one when left out."""

    model: str
    slot: str | None = None


class ActivationList(Struct, rename="camel"):
    """`next` is the cursor of the following page, null on the last one."""

    activations: list[Activation]
    next: str | None = None


async def list_activations(parts: Parts, query: ActivationsQuery) -> ActivationList:
    """Activations, newest first."""
    return await activation_page(parts, query, slot=query.slot, model_id=query.model, result=query.result)


async def activation_page(
    parts: Parts, query: Paged, *, slot: str | None = None, model_id: str | None = None,
    result: Result | None = None,
) -> ActivationList:  # fmt: skip
    """One page of those that the filters let through."""
    before = sequence(query.cursor, "activations")
    found, more = await commands.list_activations(
        parts, slot=slot, model_id=model_id, result=result, limit=query.limit, before=before
    )
    return ActivationList(found, None if more is None else cursor_after("activations", more))


async def forecast_activation(parts: Parts, query: ForecastQuery) -> Forecast:
    """How long activating a model would take, how much would be fetched, and how long the slot would serve nothing.

    From how long it took before on this machine; nothing is started, and no network is asked.
    """
    return await commands.forecast(parts, query.model, query.slot)


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
    Route("GET", "/activations/forecast", forecast_activation),
    Route("GET", "/activations/{activation_id}", get_activation),
    Route("POST", "/activations/{activation_id}/cancel", cancel_activation),
)
