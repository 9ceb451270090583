"""What a service answers before its turn: that it lives, and who works meanwhile."""

import asyncio
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager import gateway
from model_manager.errors import Forbidden, Unavailable
from model_manager.http.context import Context
from model_manager.web.health import Health, Readiness

if TYPE_CHECKING:
    from model_manager.serving.kserve.lease import Lease

RETRY_AFTER = 2
"""Seconds: about what a handover takes."""


def standby(lease: "Lease", *, newcomer: bool) -> ASGIApp:
    """`/healthz` and `/readyz` answer; whatever else is asked for is told to come back.

    A newcomer counts as ready, since a rollout ends the old one only then. One that has handed over does not: requests
    are for the other one.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/healthz":
            response = _json(200, Health())
        elif scope["path"] == "/readyz":
            ready = newcomer and not isinstance(lease.trouble, Forbidden)
            status, word = (200, "ready") if ready else (503, "not_ready")
            response = _json(status, Readiness(word, [_why(lease)]))
        else:
            raise Unavailable(_why(lease), "Try again in a moment.", retry_after=RETRY_AFTER)
        await response(scope, receive, send)

    return Context(answer, closing=asyncio.Event(), respond=gateway.error_response)


def _why(lease: "Lease") -> str:
    if lease.trouble is not None:
        return f"This service waits for its turn: {lease.trouble.sentence}"
    return f"This service waits for its turn: {lease.holder or 'nobody'} has the lease {lease.name} now."


def _json(status: int, body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
