"""The route table as an OpenAPI 3.1 document, all of it from the handlers' signatures and docstrings."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NoReturn, get_args, get_origin

import msgspec
from starlette.responses import Response

from model_manager.http.access import GRANTED, access
from model_manager.http.idempotency import PATTERN
from model_manager.http.problems import MEDIA_TYPE, ProblemDetails
from model_manager.http.routing import PATH_PARAMETER, Encoded, NoQuery, Reply, Route, Tagged, union_members

REF = "#/components/schemas/{name}"


def document(
    routes: Iterable[Route], *, title: str, version: str, others: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The whole description; `others` are path items of what is not a typed route."""
    routes = list(routes)
    types = list(dict.fromkeys(_types(routes)))
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = PATH_PARAMETER.sub(lambda match: f"{{{match['name']}}}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {**paths, **(others or {})},
        "components": {
            "schemas": components,
            "responses": {
                "Problem": _response(
                    "What went wrong, and what to do.", MEDIA_TYPE, schema_of[ProblemDetails]
                )
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schema_of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    wanted = route.signature
    summary, _, description = (inspect.getdoc(route.handler) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": getattr(route.handler, "__name__", ""),
        "tags": [route.path.split("/")[1]],
        "summary": summary.replace("\n", " "),
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route, schema_of, components),
            *_header_parameters(route),
        ],
        "responses": dict(_responses(route, schema_of)),
        "security": security(route.method, route.path),
    }
    if wanted.returns is NoReturn:
        operation["deprecated"] = True
    if description:
        operation["description"] = description.replace("\n", " ")
    if wanted.body is not None:
        operation["requestBody"] = {
            "required": not wanted.body_optional,
            "content": {"application/json": {"schema": schema_of[wanted.body]}},
        }
    if wanted.raw:
        schema = schema_of[wanted.raw_json] if wanted.raw_json else {}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def security(method: str, path: str) -> list[dict[str, list[str]]]:
    """One of these scopes is enough; OpenAPI 3.1 lets bearer schemes name roles so."""
    granted = GRANTED.get(access(method, path), frozenset())
    return [{"token": [scope]} for scope in ("read", "chat", "admin") if scope in granted]


def _path_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.signature.path:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(
    route: Route, schema_of: dict[Any, Any], components: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if route.signature.query is NoQuery:
        return
    name = schema_of[route.signature.query]["$ref"].rpartition("/")[2]
    for field, schema in components[name]["properties"].items():
        yield {"name": field, "in": "query", "required": False, "schema": schema}


def _header_parameters(route: Route) -> Iterator[dict[str, Any]]:
    if _is_tagged(route):
        about = "The `ETag` of an answer that one has: 304 if it still holds."
        yield {
            "name": "If-None-Match", "in": "header", "required": False, "description": about,
            "schema": {"type": "string"},
        }  # fmt: skip

    if route.is_kept and route.signature.returns is not NoReturn:
        about = "The same key with the same request gets the same answer again, for a day, and nothing is done twice."
        yield {
            "name": "Idempotency-Key", "in": "header", "required": False, "description": about,
            "schema": {"type": "string", "pattern": f"^{PATTERN}$"},
        }  # fmt: skip


def _is_tagged(route: Route) -> bool:
    return any(get_origin(member) is Tagged for member in union_members(route.signature.returns))


def _responses(route: Route, schema_of: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if route.signature.returns is NoReturn:
        yield str(route.status), {"$ref": "#/components/responses/Problem"}
        yield "default", {"$ref": "#/components/responses/Problem"}
        return
    content: dict[str, Any] = {}
    if usual := [schema_of[kind] for kind in _usual(route)]:
        content["application/json"] = {"schema": usual[0] if len(usual) == 1 else {"anyOf": usual}}
    for member in union_members(route.signature.returns):
        if _is_response(member):
            media_type = member.media_type or "text/plain"
            content[media_type] = {"schema": {"type": "string"}}
    yield str(route.status), {"description": HTTPStatus(route.status).phrase, "content": content}
    if _is_tagged(route):
        yield "304", {"description": "Not Modified: what `If-None-Match` names still holds."}
    for status, kind in route.also.items():
        response = _response(HTTPStatus(status).phrase, "application/json", schema_of[kind])
        if status >= 400:  # what comes before the handler is refused with a problem
            response["content"][MEDIA_TYPE] = {"schema": schema_of[ProblemDetails]}
        yield str(status), response
    yield "default", {"$ref": "#/components/responses/Problem"}


def _response(description: str, media_type: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _usual(route: Route) -> list[Any]:
    """The types that come with the route's usual status."""
    payloads = list(_payloads(route.signature.returns))
    also = set(route.also.values())
    return [kind for kind in payloads if kind not in also] or payloads


def _payloads(annotation: Any) -> Iterator[Any]:
    """The JSON types in a return annotation, out of `Reply[…]`, `Encoded[…]` and unions."""
    for member in () if annotation is NoReturn else union_members(annotation):
        if get_origin(member) in (Reply, Encoded, Tagged):
            yield from _payloads(get_args(member)[0])
        elif not _is_response(member):
            yield member


def _is_response(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Response)


def _types(routes: Iterable[Route]) -> Iterator[Any]:
    yield ProblemDetails
    for route in routes:
        wanted = route.signature
        if wanted.query is not NoQuery:
            yield wanted.query
        if wanted.body is not None:
            yield wanted.body
        if wanted.raw_json is not None:
            yield wanted.raw_json
        yield from _payloads(wanted.returns)
        yield from route.also.values()
