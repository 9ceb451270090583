"""The routes, the token check and the outermost middleware as one ASGI application."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Router
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from model_manager.http.auth import Auth, Guard
from model_manager.http.context import Context, Observe, Respond
from model_manager.http.cors import Cors
from model_manager.http.etags import etag_of
from model_manager.http.idempotency import Answers
from model_manager.http.openapi import document
from model_manager.http.problems import problem_response
from model_manager.http.routing import Path, Route, Tagged, no_route, starlette_routes


def application(
    routes: Sequence[Route],
    *,
    version: str,
    auth: Auth,
    closing: asyncio.Event,
    others: Sequence[BaseRoute] = (),
    described: Mapping[str, Any] | None = None,
    lifespan: Lifespan[Any] | None = None,
    observe: Observe | None = None,
    respond: Respond = problem_response,
    answers: Answers | None = None,
) -> ASGIApp:
    """Everything an HTTP server is to serve.

    `others` are routes that are not part of the typed API (gateway, pages), `described` the OpenAPI path items of
    those among them that belong in the description. With `answers`, an Idempotency-Key is heeded. Set `closing` when
    the service is told to stop: an HTTP server waits for its streams to end before it tells `lifespan`.
    """
    typed = list(routes)
    typed += _description(typed, version, described)
    known = [*starlette_routes(typed, answers), *others]
    router = Router(known, redirect_slashes=False, default=no_route, lifespan=lifespan)
    served: ASGIApp = Context(
        Guard(_Exact(known, router), auth), closing=closing, observe=observe, respond=respond
    )
    return Cors(served, auth.origins) if auth.origins else served


class _Exact:
    """The routes without parameters at one look-up; a router tries one pattern after the other, a hundred of them."""

    def __init__(self, routes: Sequence[BaseRoute], otherwise: ASGIApp) -> None:
        self._routes = {
            (method, route.path): route
            for route in reversed(routes)  # as in a router, the first of the same path and method is asked
            if isinstance(route, Path | StarletteRoute) and "{" not in route.path
            for method in route.methods or (None,)
        }
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = None
        if scope["type"] == "http":
            path = scope["path"]
            route = self._routes.get((scope["method"], path)) or self._routes.get((None, path))
        if route is None:
            await self._otherwise(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, {}
        await route.app(scope, receive, send)


def _description(routes: Sequence[Route], version: str, others: Mapping[str, Any] | None) -> list[Route]:
    """The routes of the API's own description, for programs and for people; each made when it is first asked for."""

    @cache
    def described() -> dict[str, Any]:
        return document(routes, title="Model Manager", version=version, others=others)

    @cache
    def encoded() -> Tagged[dict[str, Any]]:
        data = msgspec.json.encode(described())
        return Tagged(data, etag_of(data))

    @cache
    def written() -> HTMLResponse:
        from model_manager.http import docs_page

        headers = {"content-security-policy": docs_page.CONTENT_SECURITY_POLICY, "cache-control": "no-cache"}
        return HTMLResponse(docs_page.page(described()), headers=headers)

    async def openapi(_: None) -> Tagged[dict[str, Any]]:
        """This description of the API."""
        return encoded()

    async def docs(_: None) -> HTMLResponse:
        """This description of the API as a page for people."""
        return written()

    return [Route("GET", "/openapi.json", openapi), Route("GET", "/docs", docs)]
