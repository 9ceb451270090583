"""Which models a request may ask for."""

from starlette.types import Scope

from model_manager.serving.targets import Only


def only_of(scope: Scope) -> Only:
    """What the request's token is limited to, as the auth middleware left it in the scope."""
    identity = scope.get("state", {}).get("identity")
    only: Only = None if identity is None else identity.models
    return only
