"""How errors look to OpenAI's clients, to Anthropic's, and to everyone else."""

import json

import pytest

from model_manager.errors import (
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    ModelManagerError,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UpstreamTimeout,
)
from model_manager.gateway.shapes import error_response, shape_of

ERRORS = [
    (InvalidRequest("No.", param="model"), "invalid_request_error", "invalid_request", "invalid_request_error"),
    (Unauthorized("No."), "authentication_error", "unauthorized", "authentication_error"),
    (Forbidden("No."), "permission_error", "forbidden", "permission_error"),
    (NotFound("No."), "invalid_request_error", "not_found", "not_found_error"),
    (NotFound("No.", param="model"), "invalid_request_error", "model_not_found", "not_found_error"),
    (MethodNotAllowed("No.", allow=("GET",)), "invalid_request_error", "method_not_allowed", "invalid_request_error"),
    (TooLarge("No."), "invalid_request_error", "too_large", "request_too_large"),
    (TooManyRequests("No.", retry_after=7), "rate_limit_error", "too_many_requests", "rate_limit_error"),
    (Unavailable("No.", retry_after=7), "server_error", "unavailable", "overloaded_error"),
    (UpstreamTimeout("No."), "server_error", "upstream_timeout", "timeout_error"),
    (ModelManagerError("No."), "server_error", "internal", "api_error"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "openai", "code", "anthropic"), ERRORS, ids=lambda value: str(value)[:24])
def test_the_words_of_both_apis(error: ModelManagerError, openai: str, code: str, anthropic: str) -> None:
    told = error_response(error, "/v1/chat/completions", "id")
    assert told.status_code == error.status
    body = {"message": "No.", "type": openai, "param": error.data.get("param"), "code": code}
    assert json.loads(told.body) == {"error": body}
    told = error_response(error, "/v1/messages/count_tokens", "id")
    assert json.loads(told.body) == {"type": "error", "error": {"type": anthropic, "message": "No."}}


def test_what_http_asks_for_beside_a_status() -> None:
    def headers(error: ModelManagerError) -> dict[str, str]:
        return dict(error_response(error, "/v1/messages", "id").headers)

    assert headers(Unavailable("No.", retry_after=7))["retry-after"] == "7"
    assert headers(MethodNotAllowed("No.", allow=("GET", "HEAD")))["allow"] == "GET, HEAD"
    assert headers(Unauthorized("No."))["www-authenticate"].startswith("Bearer ")


def test_a_base_url_without_v1_is_told_to_openais_clients_too() -> None:
    told = error_response(NotFound("No.", "Yes."), "/chat/completions", "id")
    assert json.loads(told.body)["error"]["message"] == "No. Yes."


def test_other_paths_get_problems() -> None:
    told = error_response(NotFound("No."), "/models/x", "id")
    assert told.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/v1/chat/completions", b'\n\ndata: {"error":{"message":"It broke."'),
        (
            "/v1/responses",
            b'\n\nevent: error\ndata: {"type":"error","sequence_number":0,"code":"upstream_timeout"',
        ),
        ("/v1/messages", b'\n\nevent: error\ndata: {"type":"error","error":{"type":"timeout_error"'),
    ],
)
def test_w5_the_last_event_of_a_broken_stream(path: str, start: bytes) -> None:
    event = shape_of(path).event(UpstreamTimeout("It broke."))
    assert event.startswith(start)
    assert event.endswith(b"\n\n")
