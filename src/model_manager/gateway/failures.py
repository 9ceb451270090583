"""What a model server's failures mean to the client, which is not told where that server is. Pure."""

import re

import msgspec

from model_manager.errors import ModelManagerError, NotFound, UpstreamError
from model_manager.serving.targets import Target

_PHRASES = frozenset({"File Not Found", "Not Found"})
"""What llama.cpp and FastAPI (vLLM) say of a path they do not know."""

_ADDRESS = re.compile(r"https?://(\[[^\]]*\]|[^\s/:]+)(:\d+)?")


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


def refuse_what_is_not_for_the_client(status: int, target: Target) -> None:
    """A redirect would lead the client (or us) astray, and a refused key is ours, not the client's."""
    if 300 <= status < 400:
        raise UpstreamError(
            f"The model server of slot {target.slot} redirects (status {status}), which is not followed."
        )
    if status in (401, 403, 407):
        raise UpstreamError(
            f"The model server of slot {target.slot} refuses our key (status {status}).",
            "Activate the model again: a server started anew gets a new key.",
        )


def for_the_client(error: ModelManagerError, slot: str) -> ModelManagerError:
    """The relay names the address it spoke to; the client knows that server by its slot."""
    if not isinstance(error, UpstreamError):
        return error
    sentence = _ADDRESS.sub(f"the model server of slot {slot}", error.sentence).rstrip(".")
    return type(error)(f"{sentence[:1].upper()}{sentence[1:]}.", error.hint, **error.data)
