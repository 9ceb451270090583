"""What the gateway reads and writes of a request's body: the top-level `model`, and nothing else. Pure."""

import msgspec
from msgspec import Raw

from model_manager.errors import InvalidRequest, TooLarge

MAX_BODY = 32 * 1024 * 1024
"""Bytes; room for several images in base64."""

MAX_NAME = 512

SMALL = 1024 * 1024
MAX_FIELDS = 500_000
"""Fields of a body larger than `SMALL` bytes, at all depths: a million at the top would take a second to read.

Colons are counted, which is quick; so many are not in a text that a model could read.
"""

Fields = dict[str, Raw]
"""A JSON object whose values are the client's own bytes."""

_FIELDS = msgspec.json.Decoder(Fields)
_NAME = msgspec.json.Decoder(str | None)


def parse_fields(body: bytes) -> Fields:
    """The top level of a JSON object. Of a repeated field the last one counts, here and upstream."""
    if not body:
        raise InvalidRequest("The body is empty.", 'Send a JSON object such as {"messages": […]}.')
    if len(body) > SMALL and body.count(b":") > MAX_FIELDS:
        raise TooLarge(f"The body has more than {MAX_FIELDS} fields.")
    try:
        return _FIELDS.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest("The body is JSON, but not an object.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise InvalidRequest(f"The body is not JSON: {reason}.") from error
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error


def model_of(fields: Fields) -> str | None:
    """The name the client asks for; None when it leaves the choice to us (no, null or empty `model`)."""
    raw = fields.get("model")
    if raw is None:
        return None
    try:
        name = _NAME.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("`model` must be a string.", param="model") from error
    if name is not None and len(name) > MAX_NAME:
        raise InvalidRequest(f"`model` is longer than {MAX_NAME} characters.", param="model")
    return name or None


def with_model(fields: Fields, name: str) -> bytes:
    """The same object with another `model`; every other value keeps its bytes."""
    return msgspec.json.encode({**fields, "model": name})
