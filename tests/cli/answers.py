"""The API's answers, told by what matters to a test: the rest is filled in with the empty values of its type."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as kinds

from model_manager.client import calls

EMPTY: dict[type, Any] = {
    kinds.StrType: "", kinds.IntType: 0, kinds.FloatType: 0.0, kinds.BoolType: False, kinds.ListType: [],
    kinds.DictType: {}, kinds.AnyType: None,
}  # fmt: skip


def completed(method: str, path: str, status: int, said: Any) -> Any:
    """The answer that this route gives with this status; as it was said where it has no such answer."""
    for pattern, asked, returns in ROUTES:
        if asked == method and pattern.fullmatch(path) and status in returns:
            return complete(returns[status], said)
    return said


def complete(kind: Any, said: Any) -> Any:
    """What was said of an object of this type, and the rest of it."""
    return _complete(kinds.type_info(kind), said)


def told(kind: Any, said: Any) -> Any:
    """The object itself."""
    return msgspec.convert(complete(kind, said), kind)


def _complete(kind: kinds.Type, said: Any) -> Any:
    if isinstance(kind, kinds.UnionType):
        structs = [one for one in kind.types if isinstance(one, kinds.StructType)]
        return _complete(structs[0], said) if structs and isinstance(said, dict) else said
    if isinstance(kind, kinds.ListType) and isinstance(said, list):
        return [_complete(kind.item_type, one) for one in said]
    if isinstance(kind, kinds.StructType) and isinstance(said, dict):
        fields = {field.encode_name: field for field in kind.fields}
        rest = {name: _empty(field.type) for name, field in fields.items() if field.required}
        return rest | {
            name: _complete(fields[name].type, value) if name in fields else value
            for name, value in said.items()
        }
    return said


def _empty(kind: kinds.Type) -> Any:
    if isinstance(kind, kinds.UnionType):
        return None
    if isinstance(kind, kinds.LiteralType):
        return kind.values[0]
    if isinstance(kind, kinds.StructType):
        return _complete(kind, {})
    return EMPTY[type(kind)]


def _routes() -> Iterator[tuple[re.Pattern[str], str, dict[int, Any]]]:
    for function in vars(calls).values():
        if not inspect.isfunction(function) or function.__module__ != calls.__name__:
            continue
        needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        call = function(
            *("{}" for p in needed if p.kind is p.POSITIONAL_OR_KEYWORD),
            **{p.name: "" for p in needed if p.kind is p.KEYWORD_ONLY},
        )
        yield re.compile("/" + "/".join(call.path).replace("{}", "[^/]+")), call.method, call.returns


ROUTES = sorted(_routes(), key=lambda route: route[0].pattern.count("[^/]+"))
