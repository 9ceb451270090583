"""From what the type check says to what a person needs to read. Pure; the sentences of `parse.py`."""

import re
from typing import Any

from model_manager.catalog.scan import Path

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_BOUND = re.compile(r"^Expected `\w+` (>=|<=|>|<) (\S+)$")
_LENGTH = re.compile(r"^Expected `str` of length <= (\d+)")
_PATTERN = re.compile(r"^Expected `str` matching regex ")
_TYPE = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`")
_MISSING = re.compile(r"^Object missing required field `([^`]+)`")
_CHOICE = re.compile(r"^Invalid enum value ")
_WHERE = re.compile(r" - at `(key in )?\$([^`]*)`$")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|\[(\.\.\.)\]")

_COMPARED = {">=": "at least", "<=": "at most", ">": "greater than", "<": "less than"}
_SHAPES = {
    "id": "must be lower-case letters, digits, `.`, `_` and `-`, and begin and end with a letter or digit",
    "hfModelId": "must have the form owner/name, as on the Hugging Face Hub",
    "sha256": "must be 64 lower-case hexadecimal digits",
}
_CHOICES = {"task": "must be `chat` or `embed`", "pooling": "must be `none`, `mean`, `cls`, `last` or `rank`"}


def where(message: str, value: Any) -> tuple[str, Path]:
    """Split a message of msgspec into its statement and the path in `value` that it speaks of."""
    match = _WHERE.search(message)
    if not match:
        return message, ()
    path: list[str | int] = []
    for key, index, any_key in _STEP.findall(match[2]):
        step: str | int = int(index) if index else key
        if any_key:  # msgspec does not say which key of a map: it is the first that is no string
            step = next((name for name, item in value.items() if not isinstance(item, str)), "")
        path.append(step)
        value = _inside(value, step)
    return message[: match.start()], tuple(path)


def sentence(statement: str, path: Path, value: Any) -> tuple[Path, str, str]:
    """The place, the sentence and the hint for one statement of the type check about the value at `path`."""
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    if match := _MISSING.match(statement):
        return path, f"`{match[1]}` is missing", 'add `"id": "my-model"`' if match[1] == "id" else ""
    if match := _TYPE.match(statement):
        return (
            path,
            f"must be {_wanted(match[1])}, not {_TYPES.get(match[2], match[2])}",
            _quoted(match[1], value),
        )
    if match := _LENGTH.match(statement):
        return path, f"must be at most {match[1]} characters long, not {len(str(value))}", ""
    if match := _BOUND.match(statement):
        return path, f"must be {_COMPARED[match[1]]} {match[2].removesuffix('.0')}, not {value}", ""
    if _PATTERN.match(statement):
        return path, f"{_SHAPES.get(field, 'has the wrong form')}, not {shown(value)}", ""
    if _CHOICE.match(statement):
        return path, f"{_CHOICES.get(field, 'is none of the allowed values')}, not {shown(value)}", ""
    return path, statement, ""


def shown(value: Any) -> str:
    """A value in a sentence: quoted, escaped and short."""
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def at(value: Any, path: Path) -> Any:
    """What stands at a path of parsed JSON; None when nothing does."""
    for step in path:
        value = _inside(value, step)
    return value


def _inside(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _wanted(types: str) -> str:
    names = [_TYPES.get(name, name) for name in types.split(" | ") if name != "null"]
    return " or ".join(names) or "null"


def _quoted(types: str, value: Any) -> str:
    if "str" in types.split(" | ") and isinstance(value, int | float):
        return f'write it in quotes: "{str(value).lower()}"'
    return ""
