"""Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any

import msgspec
from starlette.responses import Response

from model_manager.errors import MethodNotAllowed, ModelManagerError, NotFound

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_object(error: ModelManagerError) -> dict[str, Any]:
    """The sentence and its hint as one message; codes are ours except where OpenAI has a word."""
    kind = _TYPES.get(error.status) or ("server_error" if error.status >= 500 else "invalid_request_error")
    no_model = isinstance(error, NotFound)
    return {
        "error": {
            "message": f"{error.sentence} {error.hint}".rstrip(),
            "type": kind,
            "param": "model" if no_model else error.data.get("param"),
            "code": "model_not_found" if no_model else error.code,
        }
    }


def error_response(error: ModelManagerError) -> Response:
    """The whole response to a request that did not begin to be answered."""
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    if "retry_after" in error.data:
        headers["retry-after"] = str(error.data["retry_after"])
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.data["allow"])
    if error.status == 413:
        headers["connection"] = "close"  # the rest of the body is not worth reading
    return Response(msgspec.json.encode(error_object(error)), error.status, headers)


def error_event(error: ModelManagerError) -> bytes:
    """The last event of a stream that broke. The empty line first ends an event that was cut in two."""
    return b"\n\ndata: " + msgspec.json.encode(error_object(error)) + b"\n\n"
