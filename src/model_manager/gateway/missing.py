"""Telling a model server that does not have an endpoint from one that does not find what was asked of it. Pure."""

import msgspec

from model_manager.errors import NotFound
from model_manager.serving.targets import Target

_PHRASES = frozenset({"File Not Found", "Not Found"})
"""What llama.cpp and FastAPI (vLLM) say of a path they do not know."""


def is_of_the_path(body: bytes) -> bool:
    """Whether the body of a 404 speaks of the path itself: no JSON error, or the server's stock phrase for it.

    Others are the answer of an endpoint that is there (a stored response, an adapter) and are the client's to read.
    """
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if not isinstance(told, dict):
        return True
    error = told.get("error", told.get("detail"))
    message = error.get("message") if isinstance(error, dict) else error
    return not isinstance(message, str) or message in _PHRASES


def no_endpoint(path: str, target: Target) -> NotFound:
    return NotFound(
        f"The server of {target.model_id or target.served_name} in slot {target.slot} does not have {path}.",
        "Its engine offers other endpoints: most have /v1/chat/completions or /v1/embeddings.",
    )
