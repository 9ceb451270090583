"""Which models a request may ask for, and for how long."""

from starlette.types import Scope

from model_manager.serving.targets import Only
from model_manager.tokens import Ended, Identity


def only_of(scope: Scope) -> Only:
    """What the request's token is limited to, as the auth middleware left it in the scope."""
    identity = _identity(scope)
    return None if identity is None else identity.models


def ended_of(scope: Scope) -> Ended | None:
    """Set when the request's token is revoked or expires: then its answer ends too."""
    identity = _identity(scope)
    return None if identity is None else identity.ended


def _identity(scope: Scope) -> Identity | None:
    found: Identity | None = scope.get("state", {}).get("identity")
    return found
