"""The one place where an error becomes a response: `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from model_manager.errors import MethodNotAllowed, ModelManagerError, Unauthorized

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(Struct, kw_only=True):
    """What every refused or failed request answers with.

    `error` repeats the sentence under the name that clients of the original API read.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    error: str
    code: str
    hint: str
    request_id: str
    data: dict[str, Any] = {}


class InternalError(ModelManagerError):
    """A defect of ours: the cause is in the log under the request's id, never in the response."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "The service failed to answer because of a defect in it.",
            f"The service's log has the details under request id {request_id}.",
        )


def problem(error: ModelManagerError, instance: str, request_id: str) -> ProblemDetails:
    return ProblemDetails(
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.sentence,
        instance=instance,
        error=error.sentence,
        code=error.code,
        hint=error.hint,
        request_id=request_id,
        data=error.data,
    )


def problem_response(error: ModelManagerError, instance: str, request_id: str) -> Response:
    return Response(
        # `str` for facts that JSON has no word for (paths, exceptions): an error must not fail to be told.
        msgspec.json.encode(problem(error, instance, request_id), enc_hook=str),
        status_code=error.status,
        headers={"content-type": MEDIA_TYPE, "cache-control": "no-store", **_headers(error)},
    )


def _headers(error: ModelManagerError) -> Mapping[str, str]:
    """What HTTP itself asks for beside certain statuses."""
    if isinstance(error, Unauthorized):
        return {"www-authenticate": 'Bearer realm="model-manager"'}
    if isinstance(error, MethodNotAllowed):
        return {"allow": ", ".join(error.data.get("allow", ()))}
    if "retry_after" in error.data:
        return {"retry-after": str(error.data["retry_after"])}
    return {}
