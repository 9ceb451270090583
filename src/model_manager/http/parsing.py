"""Bytes from outside -> typed values, or an error that names the field. What is not understood is refused."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeVar, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from model_manager.errors import InvalidRequest, TooLarge, Unprocessable, UnsupportedMediaType

T = TypeVar("T", bound=Struct)

BODY_LIMIT = 1 << 20
"""Bytes. The largest honest body, a catalog entry, is a few KiB."""

QUERY_FIELDS = 100

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)


async def read_body(scope: Scope, receive: Receive, limit: int = BODY_LIMIT) -> bytes:
    """The whole body, counted while it comes, so that neither a lying length nor chunks get past `limit`."""
    if announced := header(scope, b"content-length"):
        if not announced.isdigit():
            raise InvalidRequest(f"Content-Length {announced!r} is not a number of bytes.")
        if int(announced) > limit:
            raise _too_large(limit)
    elif header(scope, b"transfer-encoding") is None:
        return b""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def header(scope: Scope, name: bytes) -> str | None:
    """The values of one header (lower-case name), joined as HTTP joins repeated ones; None when absent."""
    found: str | None = None
    for key, value in scope["headers"]:
        if key == name:
            found = value.decode("latin-1") if found is None else f"{found}, {value.decode('latin-1')}"
    return found


def check_json_type(content_type: str | None) -> None:
    """Refuse bodies that say they are something else. Saying nothing is taken for JSON, as old clients do."""
    if content_type is None or content_type == "application/json":
        return
    media_type, _, parameters = content_type.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters, re.IGNORECASE)
    if media_type.strip().lower() != "application/json" or (charset and charset[1].lower() != "utf-8"):
        raise UnsupportedMediaType(
            f"The body is {content_type[:100]!r}, but this route reads JSON in UTF-8.",
            "Send it with the header `Content-Type: application/json`.",
        )


def parse_body(data: bytes, into: type[T]) -> T:
    """The JSON body as `into`; 400 when it is not JSON, 422 when it is not what was asked for."""
    if not data:
        raise InvalidRequest("The body is empty, but this route reads a JSON object.", _fields_hint(into))
    try:
        value = msgspec.json.decode(data, type=into)
        _refuse_duplicate_keys(data)
    except msgspec.ValidationError as error:
        raise unprocessable(error, "body", into) from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {str(error).removeprefix('JSON is malformed: ')}."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: {error.reason} (byte {error.start}).") from error
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    return value


def parse_query(data: bytes, into: type[T]) -> T:
    """The query string as `into`; 422 for unknown, repeated, wrong or out-of-bounds values."""
    if not data and not _needs_something(into):
        return into()
    try:
        pairs = parse_qsl(data.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS)
    except ValueError as error:
        raise Unprocessable(f"The query has more than {QUERY_FIELDS} fields.") from error
    known = _fields(into)
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name not in known:
            raise _unknown(name, "query", known)
        if _is_list(known[name]):
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Unprocessable(f"`{name}` in the query is given more than once.", field=name)
        else:
            values[name] = value
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        raise unprocessable(error, "query", into) from error


def unprocessable(error: msgspec.ValidationError, where: str, into: type[Struct]) -> Unprocessable:
    """msgspec's message as a sentence of ours, with the path of the field it is about."""
    match = _WHERE.match(str(error))
    assert match is not None
    what, path = match["what"], match["path"] or ""
    if unknown := _UNKNOWN.match(what):
        # Below the top we know the name, but not the type it was wrong for: no guess.
        return _unknown(_join(path, unknown["name"]), where, () if path else _fields(into))
    if missing := _MISSING.match(what):
        field = _join(path, missing["name"])
        return Unprocessable(
            f"The {where} lacks the field `{field}`.", "" if path else _fields_hint(into), field=field
        )
    reason = what[:1].lower() + what[1:]
    if not path:
        return Unprocessable(f"The {where} is wrong: {reason}.", _fields_hint(into))
    hint = _value_hint(into, path)
    if hint and "matching regex" in reason:
        reason = "it does not have the right form"  # the hint says it in words
    return Unprocessable(f"`{path}` in the {where} is wrong: {reason}.", hint, field=path)


def _value_hint(into: type[Struct], name: str) -> str:
    """What may stand there: the words of an enumeration, or what the field's type says of itself."""
    for kind in _kinds(msgspec.inspect.type_info(_fields(into)[name])) if name in _fields(into) else ():
        if isinstance(kind, msgspec.inspect.LiteralType):
            return f"One of: {', '.join(map(str, kind.values))}."
        if told := (getattr(kind, "extra_json_schema", None) or {}).get("description"):
            return str(told)
    return ""


def _kinds(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """The type, and those that it is made of side by side."""
    yield kind
    inner = [kind.type] if isinstance(kind, msgspec.inspect.Metadata) else getattr(kind, "types", ())
    for one in inner:
        yield from _kinds(one)


def _refuse_duplicate_keys(data: bytes) -> None:
    """Two readers of `{"id": 1, "id": 2}` may see different things; we let nobody find out."""

    def pairs(items: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in items:
            if name in seen:
                raise Unprocessable(f"`{name[:100]}` in the body is given more than once.", field=name[:100])
            seen.add(name)

    json.loads(data, object_pairs_hook=pairs)


def _unknown(name: str, where: str, known: Iterable[str]) -> Unprocessable:
    shown = name[:100]
    names = list(known)
    from difflib import get_close_matches  # only here: most requests have no mistake to explain

    guess = get_close_matches(shown, names, n=1)
    hint = (
        f"Did you mean `{guess[0]}`?"
        if guess
        else f"Known here: {', '.join(names) or 'none'}."
        if known
        else ""
    )
    return Unprocessable(f"The {where} has an unknown field `{shown}`.", hint, field=shown)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.", limit=limit)


def _fields_hint(into: type[Struct]) -> str:
    return f"Known here: {', '.join(_fields(into))}."


@cache
def _fields(into: type[Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(into)}


@cache
def _needs_something(into: type[Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(into))


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (list, tuple)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
