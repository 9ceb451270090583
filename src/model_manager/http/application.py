"""The routes, the token check and the outermost middleware as one ASGI application."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Lifespan

from model_manager.http.auth import Auth
from model_manager.http.context import Context, Observe
from model_manager.http.openapi import document
from model_manager.http.routing import Encoded, Route, no_route, starlette_routes


def application(
    routes: Sequence[Route],
    *,
    version: str,
    token: str | None,
    reads_open: bool,
    closing: asyncio.Event,
    others: Sequence[BaseRoute] = (),
    open_paths: Iterable[str] = (),
    lifespan: Lifespan[Any] | None = None,
    observe: Observe | None = None,
) -> ASGIApp:
    """Everything an HTTP server is to serve.

    `others` are routes that are not part of the typed API (gateway, pages); `open_paths` those of them that
    everyone may read. Set `closing` when the service is told to stop: an HTTP server waits for its streams to
    end before it tells `lifespan`.
    """
    described = list(routes)
    described.append(_openapi(described, version))
    router = Router(
        [*starlette_routes(described), *others], redirect_slashes=False, default=no_route, lifespan=lifespan
    )
    guarded = Auth(router, token=token, reads_open=reads_open, open_paths=open_paths)
    return Context(guarded, closing=closing, observe=observe)


def _openapi(routes: Sequence[Route], version: str) -> Route:
    """The route of the API's own description, made when it is first asked for."""

    @cache
    def encoded() -> Encoded[dict[str, Any]]:
        return Encoded(msgspec.json.encode(document(routes, title="Model Manager", version=version)))

    async def openapi(_: None) -> Encoded[dict[str, Any]]:
        """This description of the API."""
        return encoded()

    return Route("GET", "/openapi.json", openapi)
