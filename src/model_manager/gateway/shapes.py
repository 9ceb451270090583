"""Errors as the clients of each API read them.

    OpenAI      {"error": {"message", "type", "param", "code"}}
    Anthropic   {"type": "error", "error": {"type", "message"}}

Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from model_manager.errors import MethodNotAllowed, ModelManagerError, NotFound, Unauthorized
from model_manager.http.access import UNPREFIXED
from model_manager.http.problems import problem_response

PREFIX = "/v1/"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

Told = dict[str, Any]


class Shape(Struct, frozen=True):
    """One API's way to tell an error: as a response's body, and as the last event of a stream that broke."""

    body: Callable[[ModelManagerError], Told]
    event_body: Callable[[ModelManagerError], Told]
    event_name: bytes = b""

    def response(self, error: ModelManagerError) -> Response:
        """The whole response to a request that did not begin to be answered."""
        headers = {"content-type": "application/json", "cache-control": "no-store", **_headers(error)}
        return Response(msgspec.json.encode(self.body(error), enc_hook=str), error.status, headers)

    def event(self, error: ModelManagerError) -> bytes:
        """The empty line first ends an event that was cut in two."""
        name = b"event: " + self.event_name + b"\n" if self.event_name else b""
        data = msgspec.json.encode(self.event_body(error), enc_hook=str)
        return b"\n\n" + name + b"data: " + data + b"\n\n"


def shape_of(path: str) -> Shape:
    """How errors are told to the clients of a path of the gateway."""
    if path.startswith(MESSAGES):
        return ANTHROPIC
    return OPENAI_RESPONSES if path.startswith(RESPONSES) else OPENAI


def error_response(error: ModelManagerError, path: str, request_id: str) -> Response:
    """The response to a request that failed anywhere in the service: problems, but below `/v1/` what clients expect."""
    if path.startswith(PREFIX) or path in UNPREFIXED:
        return shape_of(path).response(error)
    return problem_response(error, path, request_id)


def _openai(error: ModelManagerError) -> Told:
    """The sentence and its hint as one message; codes are ours except where OpenAI has a word."""
    server = "server_error" if error.status >= 500 else "invalid_request_error"
    param = error.data.get("param")
    no_model = isinstance(error, NotFound) and param == "model"
    return {
        "error": {
            "message": _message(error),
            "type": _OPENAI_TYPES.get(error.status, server),
            "param": param,
            "code": "model_not_found" if no_model else error.code,
        }
    }


def _openai_responses(error: ModelManagerError) -> Told:
    """The `error` event of the Responses API, and beside it what OpenAI's library raises in any stream."""
    told = _openai(error)
    inner = told["error"]
    flat = {name: inner[name] for name in ("code", "message", "param")}
    return {"type": "error", "sequence_number": 0, **flat, **told}


def _anthropic(error: ModelManagerError) -> Told:
    other = "api_error" if error.status >= 500 else "invalid_request_error"
    kind = _ANTHROPIC_TYPES.get(error.status, other)
    return {"type": "error", "error": {"type": kind, "message": _message(error)}}


def _message(error: ModelManagerError) -> str:
    return f"{error.sentence} {error.hint}".rstrip()


def _headers(error: ModelManagerError) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"www-authenticate": 'Bearer realm="model-manager"'}
    if isinstance(error, MethodNotAllowed):
        return {"allow": ", ".join(error.data["allow"])}
    if "retry_after" in error.data:
        return {"retry-after": str(error.data["retry_after"])}
    return {}


OPENAI = Shape(_openai, _openai)
OPENAI_RESPONSES = Shape(_openai, _openai_responses, b"error")
ANTHROPIC = Shape(_anthropic, _anthropic, b"error")
