"""`/healthz`: the process answers. `/readyz`: it can do its work, or why not. `/metrics`: its numbers."""

import asyncio

from msgspec import Struct
from starlette.responses import Response

from model_manager.commands import Parts
from model_manager.http.routing import Encoded, Reply, Request, Route
from model_manager.metrics import expose
from model_manager.web.gauges import read_gauges


class Health(Struct):
    status: str = "ok"


class Readiness(Struct):
    """`status` is `ready` or `not_ready`; `reasons` are sentences."""

    status: str
    reasons: list[str] = []


async def healthz(_: Parts) -> Encoded[Health]:
    """Whether the process answers.

    Looks at nothing, so that a kubelet never restarts the service for what a restart cannot mend.
    """
    return Encoded(b'{"status":"ok"}')


async def readyz(parts: Parts) -> Reply[Readiness]:
    """Whether the service can do its work.

    A catalog, hub, model server or cluster that is away does not count: the service answers all the same, what
    serves is reached through it, and `/system/info` says what is missing. What the platform cannot do now is among
    the `reasons` even when the service is ready.
    """
    reasons, degraded = parts.problems(), parts.platform.problems()
    if reasons:
        return Reply(Readiness("not_ready", reasons + degraded), status=503)
    return Reply(Readiness("ready", degraded))


async def metrics(parts: Parts, request: Request) -> Response:
    """The service's numbers, as Prometheus reads them."""
    gauges, accept = await read_gauges(parts), request.header("accept") or ""
    exposition = await asyncio.to_thread(expose, parts.metrics, gauges, accept)
    return Response(exposition.body, headers={"content-type": exposition.content_type})


ROUTES = (
    Route("GET", "/healthz", healthz, always=True),
    Route("GET", "/readyz", readyz, also={503: Readiness}, always=True),
    Route("GET", "/metrics", metrics, at_once=4),
)
