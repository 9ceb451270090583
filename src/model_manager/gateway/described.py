"""The gateway's operations for the API's description: loosely typed, for their fields are the model server's."""

from typing import Any

from model_manager.gateway.routes import PASSED_ON
from model_manager.gateway.shapes import MESSAGES
from model_manager.http.openapi import security

_OPENAI = "https://platform.openai.com/docs/api-reference/"
_ANTHROPIC = "https://docs.anthropic.com/en/api/"

REFERENCE = {
    "/v1/chat/completions": _OPENAI + "chat/create",
    "/v1/completions": _OPENAI + "completions/create",
    "/v1/embeddings": _OPENAI + "embeddings/create",
    "/v1/responses": _OPENAI + "responses/create",
    "/v1/responses/input_tokens": _OPENAI + "responses/input-tokens",
    "/v1/messages": _ANTHROPIC + "messages",
    "/v1/messages/count_tokens": _ANTHROPIC + "messages-count-tokens",
    "/v1/rerank": "https://docs.cohere.com/reference/rerank",
    "/v1/score": "https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html",
}
"""Where the fields of each are described by whoever invented it."""

_PASSED = (
    "The request goes to the server of the model that `model` names: a slot, a model's id, an alias or the name that "
    "its server reports; left out, the default slot. Only `model` is replaced; all else passes as it is, both ways. "
    "An engine that does not have this endpoint is a 404 that says so."
)

_TEXT = {"type": "string"}


def described() -> dict[str, dict[str, Any]]:
    """OpenAPI path items by path."""
    return {
        "/v1/models": {"get": _get("/v1/models", "list_served_models", "The names that can be asked for now", _LIST)},
        "/v1/models/{model}": {
            "get": {
                **_get("/v1/models/{model}", "get_served_model", "One of the names that can be asked for now", _MODEL),
                "parameters": [{"name": "model", "in": "path", "required": True, "schema": _TEXT}],
            }
        },
        **{path: {"post": _passed_on(path, summary)} for path, summary in PASSED_ON.items()},
    }  # fmt: skip


def _get(path: str, name: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    ok = {"description": "OK", "content": {"application/json": {"schema": schema}}}
    return {
        "operationId": name, "tags": ["v1"], "summary": f"{summary}.", "security": security("GET", path),
        "responses": {"200": ok, "default": _OPENAI_ERROR},
    }  # fmt: skip


def _passed_on(path: str, summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {"schema": _TEXT}}
    return {
        "operationId": path.removeprefix("/v1/").replace("/", "_"),
        "tags": ["v1"],
        "summary": f"{summary}.",
        "description": _PASSED,
        "externalDocs": {"url": REFERENCE[path]},
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ASKED}}},
        "responses": {
            "200": {
                "description": "The model server's answer; events when `stream` is true.",
                "content": content,
            },
            "default": _ANTHROPIC_ERROR if path.startswith(MESSAGES) else _OPENAI_ERROR,
        },
        "security": security("POST", path),
    }


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _error(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "What went wrong.", "content": {"application/json": {"schema": schema}}}


_ASKED = _object(
    {}, model={"type": ["string", "null"], "maxLength": 512}, stream={"type": ["boolean", "null"]}
)

_MODEL = _object({
    "id": _TEXT, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": _TEXT,
    "root": {**_TEXT, "description": "The model behind the name."}, "slot": _TEXT,
})  # fmt: skip

_LIST = _object({"object": {"const": "list"}, "data": {"type": "array", "items": _MODEL}})

_OPENAI_ERROR = _error(_object({"error": _object({"message": _TEXT})}))

_ANTHROPIC_ERROR = _error(
    _object({"error": _object({"type": _TEXT, "message": _TEXT})}, type={"const": "error"})
)
