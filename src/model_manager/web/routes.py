"""All routes of the management API, given the parts of the running service."""

from model_manager.commands import Parts
from model_manager.http.routing import Route
from model_manager.web import (
    activations,
    active,
    bundle,
    catalog,
    doctor,
    events,
    health,
    history,
    jobs,
    metrics_history,
    model_list,
    models,
    not_offered,
    preview,
    settings,
    slots,
    state,
    system,
    tokens,
    webhook,
    weights,
)

NOUNS = (
    not_offered,
    health,
    metrics_history,
    system,
    doctor,
    model_list,
    preview,  # before `models`: `/models/test` is no model
    models,
    active,
    catalog,
    weights,
    jobs,
    history,
    events,
    slots,
    activations,
    tokens,
    settings,
    state,
    webhook,
    bundle,
)


def routes(parts: Parts) -> list[Route]:
    return [route.bound(parts) for noun in NOUNS for route in noun.ROUTES]
