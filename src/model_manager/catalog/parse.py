"""From the bytes of one catalog file to an entry, or to problems with line and column. Pure.

The original's decoder was lenient where it hurt (duplicate keys: the last one won; unknown fields: silence) and
so are most JSON parsers. This one is strict about what is ambiguous and kind about what is only unknown.
"""

import json
import math
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec import Struct

from model_manager.catalog import explain, rules
from model_manager.catalog.entry import Entry
from model_manager.catalog.problem import MOST, Problem, Report
from model_manager.catalog.scan import Path, dotted, open_bracket, token_offset, too_deep
from model_manager.catalog.suggest import close, did_you_mean

MAX_SIZE = 1 << 20
"""Bytes; an entry with everything in it has some three thousand."""
MAX_DEPTH = 64

_UTF16_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def parse(data: bytes, file: str) -> tuple[Entry | None, tuple[Problem, ...]]:
    """The entry in `data`, or None and at least one error. Warnings come beside an entry.

    `file` is the name to show, relative to the catalog's root (`models/a.json`).
    """
    report = Report(file)
    entry = _parse(data, report)
    return (None if report.failed else entry), tuple(report.problems)


def load(data: bytes, report: Report) -> dict[str, Any] | None:
    """The JSON object in `data`, whatever its fields are; None when the report says why there is none."""
    if (text := _decode(data, report)) is None:
        return None
    report.text = text
    raw = _load(text, report)
    if report.failed:
        return None
    if not isinstance(raw, dict):
        report.at(0, "must hold one JSON object, a model", 'one model per file: `{"id": …}`')
        return None
    return raw


def _parse(data: bytes, report: Report) -> Entry | None:
    if (raw := load(data, report)) is None:
        return None
    raw.pop("$schema", None)
    known = _known(raw, Entry, (), report)
    entry = _convert(known, report)
    if entry:
        rules.check(entry, report)
    return entry


def _decode(data: bytes, report: Report) -> str | None:
    if len(data) > MAX_SIZE:
        report.at(
            0, "is larger than 1 MiB, the most a catalog file may have", "keep weights out of `models/`"
        )
    elif not data.strip():
        report.at(0, "is empty", "a catalog file holds one JSON object")
    elif data.startswith(b"\xef\xbb\xbf"):
        report.at(
            0, "begins with a byte order mark, which JSON does not allow", "save it as UTF-8 without BOM"
        )
    elif data.startswith(_UTF16_32) or b"\x00" in data[:4]:
        report.at(0, "is not UTF-8 but looks like UTF-16 or UTF-32", "save it as UTF-8")
    else:
        return _decode_utf8(data, report)
    return None


def _decode_utf8(data: bytes, report: Report) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        report.text = data[: error.start].decode()
        report.at(
            len(report.text),
            f"is not UTF-8: byte 0x{data[error.start]:02x} fits no character",
            "save it as UTF-8",
        )
        return None


class _Refused(ValueError):
    """A hook of the JSON parser met something that JSON, or we, do not take."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Refused("duplicate")
    return made


def _refuse(token: str) -> Any:
    raise _Refused("constant", token)


def _float(token: str) -> float:
    if math.isinf(number := float(token)):
        raise _Refused("number", token)
    return number


def _int(token: str) -> int:
    # what JSON writers after us can take; also keeps Python's refusal of 4,300 digits out of the way
    if len(token) > 20 or not -(2**63) <= (number := int(token)) < 2**63:
        raise _Refused("number", token)
    return number


def _load(text: str, report: Report) -> Any:
    try:
        raw = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        return _broken(text, error, report)
    except _Refused as refused:
        return _refused(text, refused, report)
    except RecursionError:
        return _deep(text, report)
    if text.count("{") + text.count("[") > MAX_DEPTH and _levels(raw) > MAX_DEPTH:
        return _deep(text, report)
    if "\\u" in text:
        _check_characters(raw, (), report)
    return raw


def _levels(value: Any) -> int:
    """How deep a value is nested, counted up to one more than is allowed."""
    level = [value]
    for depth in range(MAX_DEPTH + 1):
        level = [item for item in level if type(item) in (dict, list)]
        if not level:
            return depth
        level = [part for item in level for part in (item.values() if type(item) is dict else item)]
    return MAX_DEPTH + 1


def _deep(text: str, report: Report) -> None:
    report.at(too_deep(text, MAX_DEPTH) or 0, f"is nested more than {MAX_DEPTH} levels deep")


def _refused(text: str, refused: _Refused, report: Report) -> None:
    kind, *rest = refused.args
    if kind == "duplicate":
        for path, offset in report.places.duplicates[:MOST]:
            report.at(offset, "is there twice in one object", "keep one of the two", path)
    elif kind == "constant":
        report.at(token_offset(text, rest[0]), f"`{rest[0]}` is no JSON number")
    else:
        report.at(token_offset(text, rest[0]), f"the number {explain.shown(rest[0])} is too large")


def _broken(text: str, error: json.JSONDecodeError, report: Report) -> None:
    """A syntax error, with the bracket that was open: catalogs are edited by hand, and that is what goes wrong."""
    found = text[error.pos : error.pos + 1]
    message = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
    if error.msg.startswith(("Expecting", "Extra")):
        message += f", found {explain.shown(found)}" if found else ", found the end of the file"
    hint = ""
    before = text[: error.pos].rstrip()
    opened = open_bracket(text, error.pos)
    # From Python 3.13 on, the error is at the comma and says so; before, it is at the bracket behind it.
    if "trailing comma" in error.msg or (found in ("}", "]") and before.endswith(",")):
        hint = "remove the last comma"
    elif opened is not None:
        line = text.count("\n", 0, opened) + 1
        hint = f"the `{text[opened]}` of line {line} is still open here"
    report.at(error.pos, f"is not valid JSON: {message}", hint)


def _check_characters(value: Any, path: Path, report: Report) -> None:
    """No NUL and no half of a surrogate pair: neither can be passed on to a process, a file name or JSON."""
    if isinstance(value, str):
        if "\0" in value:
            report.error(path, "holds a NUL character")
        elif any("\ud800" <= char <= "\udfff" for char in value):
            report.error(path, "holds half of a surrogate pair, which is no character")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_characters(key, (*path, key), report)
            _check_characters(item, (*path, key), report)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_characters(item, (*path, index), report)


@cache
def _shape(struct: type[Struct]) -> dict[str, type[Struct] | None]:
    """A struct's fields on disk, each with the struct that is inside it (also inside a list), if any."""
    return {field.encode_name: _struct_in(field.type) for field in msgspec.structs.fields(struct)}


def _struct_in(annotation: Any) -> type[Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return annotation
    return next((found for part in get_args(annotation) if (found := _struct_in(part))), None)


def _known(value: Any, struct: type[Struct], path: Path, report: Report) -> Any:
    """The value without unknown fields (each a warning) and without nulls (Go's "not set")."""
    if not isinstance(value, dict):
        return value
    shape = _shape(struct)
    kept: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, key)
        if key not in shape:
            if not report.full:  # the search for close words is the dear part
                hint = _unknown_hint(key, shape, path)
                report.warn(here, "is no field of a catalog entry and is ignored", hint, key=True)
        elif item is None:
            continue
        elif (inner := shape[key]) is None:
            kept[key] = item
        elif isinstance(item, list):
            kept[key] = [_known(part, inner, (*here, index), report) for index, part in enumerate(item)]
        else:
            kept[key] = _known(item, inner, here, report)
    return kept


def _unknown_hint(key: str, shape: dict[str, type[Struct] | None], path: Path) -> str:
    if hint := did_you_mean(key, shape):
        return hint
    outside = close(key, _shape(Entry), 1) if path else []
    return f"did you mean `{outside[0]}`, outside of `{dotted(path)}`?" if outside else ""


def _convert(known: dict[str, Any], report: Report) -> Entry | None:
    try:
        return msgspec.convert(known, Entry)
    except msgspec.ValidationError as error:
        if "id" not in known:
            report.error((), "`id` is missing", 'add `"id": "my-model"`')
        # one by one, to tell every wrong field and not the first alone
        for field in msgspec.structs.fields(Entry):
            if field.encode_name in known:
                _check_field(known[field.encode_name], field, report)
        if not report.failed:
            _explain(str(error), known, (), report)
        return None


def _check_field(value: Any, field: msgspec.structs.FieldInfo, report: Report) -> None:
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        _explain(str(error), value, (field.encode_name,), report)


def _explain(message: str, value: Any, base: Path, report: Report) -> None:
    statement, inner = explain.where(message, value)
    path, text, hint = explain.sentence(statement, (*base, *inner), explain.at(value, inner))
    report.error(path, text, hint)
