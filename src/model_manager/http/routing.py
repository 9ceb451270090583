"""Typed handlers -> ASGI routes. The signature of a handler is the whole declaration of its endpoint.

    async def cancel_job(parts: Parts, job_id: str, request: Request) -> JobView:
        '''Cancel a job.'''

    Route("POST", "/jobs/{job_id}/cancel", cancel_job)

The first parameter is the context that `bound` gave the route. The others are found by name: those of the
path, `query` (a Struct), `body` (a Struct, or `Struct | None` when it may be left out), `raw` (the body's bytes as
they came; `Annotated[bytes, Struct]` where they are JSON that the handler reads itself) and `request`.
A handler returns a Struct, `Encoded` bytes, a `Reply` (for another status or headers) or a Starlette
response such as `EventStream`, and raises ModelManagerError for everything else. `openapi.py` reads the same signature.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from inspect import signature
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send

from model_manager.errors import MethodNotAllowed, NotFound
from model_manager.http.concurrency import ConcurrencyLimits
from model_manager.http.etags import has_it
from model_manager.http.idempotency import METHODS, Answers
from model_manager.http.parsing import check_json_type, header, parse_body, parse_query, read_body
from model_manager.tokens import Identity

T = TypeVar("T")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

PATH_PARAMETER = re.compile(r"\{(?P<name>\w+)(?P<converter>:\w+)?\}")


class NoQuery(Struct):
    """For routes without query parameters: any name is unknown."""


class Reply(Struct, Generic[T], frozen=True):
    """A value with a status of its own (None: the route's) and headers."""

    value: T
    status: int | None = None
    headers: Mapping[str, str] = {}


class Encoded(Struct, Generic[T], frozen=True):
    """JSON of a T that was encoded before, once for many requests."""

    data: bytes


class Tagged(Encoded[T], frozen=True):
    """Encoded JSON with its entity tag: a client that says it has just that already gets a 304."""

    etag: str


class Request:
    """What a handler may ask beyond its path, query and body."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def header(self, name: str) -> str | None:
        return header(self.scope, name.lower().encode())

    def accepts(self, media_type: str) -> bool:
        """Whether `Accept` names exactly this type; wildcards do not count as asking for it."""
        ranges = (self.header("accept") or "").split(",")
        return any(one.partition(";")[0].strip().lower() == media_type for one in ranges)

    @property
    def id(self) -> str:
        return str(self.scope["state"]["request_id"])

    @property
    def identity(self) -> Identity:
        """Who is asking, and what they may."""
        identity: Identity = self.scope["state"]["identity"]
        return identity

    @property
    def actor(self) -> str:
        """Who is asking, as the history names them."""
        return self.identity.name


class Signature(Struct, frozen=True):
    """What a handler takes and gives."""

    path: tuple[str, ...]
    query: type[Struct]
    body: type[Struct] | None
    body_optional: bool
    raw: bool
    raw_json: type[Struct] | None
    request: bool
    returns: Any


class Route(Struct, frozen=True, dict=True):
    """One method on one path. `also` documents the types of statuses other than the usual one.

    `at_once`: how many requests of an expensive route are answered at the same time, the next ones get a 429.
    `always`: answered whatever else its caller has under way, for probes. `kept` False: an
    Idempotency-Key is not heeded, since the answer holds a secret or anybody may ask.
    """

    method: Method
    path: str
    handler: Callable[..., Awaitable[Any]]
    status: int = 200
    also: Mapping[int, Any] = {}
    context: Any = None
    at_once: int | None = None
    always: bool = False
    kept: bool = True

    def bound(self, context: Any) -> "Route":
        return msgspec.structs.replace(self, context=context)

    @cached_property
    def signature(self) -> Signature:
        return _read_signature(self)

    @property
    def is_kept(self) -> bool:
        """Whether an Idempotency-Key is heeded."""
        return self.kept and self.method in METHODS

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """Parse, call the handler, encode."""
        wanted = self.signature
        data = await read_body(scope, receive)
        arguments: dict[str, Any] = dict(scope["path_params"])
        query = parse_query(scope["query_string"], wanted.query)
        if wanted.query is not NoQuery:
            arguments["query"] = query
        if wanted.body is not None:
            if data or not wanted.body_optional:
                check_json_type(header(scope, b"content-type"))
                arguments["body"] = parse_body(data, wanted.body)
            else:
                arguments["body"] = None
        if wanted.raw_json is not None:
            check_json_type(header(scope, b"content-type"))
        if wanted.raw:
            arguments["raw"] = data
        if wanted.request:
            arguments["request"] = Request(scope)
        value = await self.handler(self.context, **arguments)
        if isinstance(value, Tagged):
            return _tagged(value, header(scope, b"if-none-match"))
        return self._response(value)

    def _response(self, value: Any) -> Response:
        status: int | None = None
        headers: Mapping[str, str] = {}
        if isinstance(value, Reply):
            value, status, headers = value.value, value.status, value.headers
        if isinstance(value, Response):
            return value
        data = value.data if isinstance(value, Encoded) else msgspec.json.encode(value)
        return Response(data, status or self.status, {"content-type": "application/json", **headers})


class _Made(Response):
    """A response whose head is made: Starlette would encode it anew each time."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
        self.status_code, self.raw_headers, self.body, self.background = status, headers, body, None


def _tagged(value: Tagged[Any], if_none_match: str | None) -> Response:
    # Keep it, but ask each time whether it still holds.
    headers = [(b"etag", value.etag.encode()), (b"cache-control", b"no-cache")]
    if has_it(if_none_match, value.etag):
        return _Made(304, headers)
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(value.data))]
    return _Made(200, headers, value.data)


class Endpoint:
    """ASGI application of one path: finds the method, or says which there are. HEAD is GET without a body."""

    def __init__(self, routes: Iterable[Route], limits: ConcurrencyLimits, answers: Answers | None) -> None:
        self._limits, self._answers = limits, answers
        self._routes: dict[str, Route] = {route.method: route for route in routes}
        for route in self._routes.values():
            _ = route.signature  # read now: a route that cannot work must not wait for its first request
        methods = [*self._routes, *(["HEAD"] if "GET" in self._routes else []), "OPTIONS"]
        self._allow = tuple(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        route = self._routes.get("GET" if method == "HEAD" else method)
        if route is not None:
            response = await self._answer(route, scope, receive)
        elif method == "OPTIONS":
            response = Response(status_code=204, headers={"allow": ", ".join(self._allow)})
        else:
            raise MethodNotAllowed(
                f"{method[:20]} is not possible here.",
                f"Possible: {', '.join(self._allow)}.",
                allow=self._allow,
            )
        await response(scope, receive, send)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Response:
        if route.always:
            return await route.answer(scope, receive)
        turn = self._limits.acquire(scope, f"{route.method} {route.path}", route.at_once)
        try:
            if self._answers is not None and route.is_kept:
                return await self._answers.once(scope, receive, route.answer)
            return await route.answer(scope, receive)
        finally:
            self._limits.release(turn)


def starlette_routes(routes: Iterable[Route], answers: Answers | None = None) -> "list[Path]":
    """One route for Starlette's router per path, in the order in which the paths first appear."""
    limits = ConcurrencyLimits()
    paths: dict[str, list[Route]] = {}
    for route in routes:
        paths.setdefault(route.path, []).append(route)
    return [
        Path(path, Endpoint(group, limits, answers), {one.method for one in group})
        for path, group in paths.items()
    ]


class Path(BaseRoute):
    """The methods help to find the path (`DELETE /weights/usage` is not `GET /weights/usage`), no more than that.

    Its pattern is compiled when it is first needed: all of them together are a good part of a start.
    """

    def __init__(self, path: str, app: Endpoint, methods: set[str]) -> None:
        self.path, self.app = path, app
        self.methods = methods | {"HEAD"} if "GET" in methods else methods

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return compile_path(self.path)[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = self._pattern.match(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            return Match.NONE, {}
        match = Match.FULL if scope["method"] in self.methods else Match.PARTIAL
        return match, {"endpoint": self.app, "path_params": found.groupdict()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)  # what another method gets is the endpoint's to say


async def no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer for paths that nothing answers."""
    if scope["type"] == "http":
        raise NotFound(
            f"There is nothing at {scope['path'][:200]!r}.", "GET /openapi.json lists what there is."
        )
    await receive()
    await send({"type": "websocket.close", "code": 1000})


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of `A | B`; of anything else, itself alone."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _read_signature(route: Route) -> Signature:
    _, *names = signature(route.handler).parameters
    hints = get_type_hints(route.handler, include_extras=True)
    path = tuple(match["name"] for match in PATH_PARAMETER.finditer(route.path))
    if unlike := (set(names) - {"query", "body", "raw", "request"}) ^ set(path):
        raise TypeError(f"{route.method} {route.path}: path and handler disagree about {sorted(unlike)}")
    body = [member for member in union_members(hints.get("body")) if member is not NoneType]
    return Signature(
        path=path,
        query=hints.get("query", NoQuery),
        body=body[0] if body else None,
        body_optional=NoneType in union_members(hints.get("body")),
        raw="raw" in names,
        raw_json=next(iter(getattr(hints.get("raw"), "__metadata__", ())), None),
        request="request" in names,
        returns=hints["return"],
    )
