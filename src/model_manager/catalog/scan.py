"""Where things stand in a JSON text: the offsets of keys and values by their path. Pure.

The standard parser tells no positions, so a problem found in a value is looked up here afterwards.
Iterative and linear: a hostile file (deep, unterminated, all quotes) costs no more than its length.
"""

import json
import re

from msgspec import Struct

Path = tuple[str | int, ...]
"""Keys and list indexes from the root, as in `("tolerations", 0, "key")`."""

# Possessive quantifiers and the `\Z` branch: an unterminated string is one token, never a search from each quote.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)
_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$]*\Z")


class Places(Struct):
    """Offsets in one text. `duplicates` are the second and later places of a key within one object."""

    keys: dict[Path, int]
    values: dict[Path, int]
    duplicates: list[tuple[Path, int]]

    def value(self, path: Path) -> int:
        """Offset of the value at `path`, else of what is nearest around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, 0)

    def key(self, path: Path) -> int:
        """Offset of the key at `path`, else of its value."""
        return self.keys.get(path, self.value(path))


class _Frame:
    """One object or list that is open: where we are in it."""

    __slots__ = ("at", "awaits_key", "is_object", "seen")

    def __init__(self, is_object: bool) -> None:
        self.is_object = is_object
        self.awaits_key = is_object
        self.at: str | int = "" if is_object else 0
        self.seen: set[str] = set()


def places(text: str) -> Places:
    """All places of a text that the JSON parser accepted."""
    found = Places({}, {}, [])
    frames: list[_Frame] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        frame = frames[-1] if frames else None
        if frame and frame.awaits_key and token[0] == '"':
            _enter_key(found, frames, frame, json.loads(token), match.start())
        elif token in "}]":
            frames.pop()
        elif token == "," and frame:
            frame.awaits_key = frame.is_object
            if isinstance(frame.at, int):
                frame.at += 1
        elif token != ":":
            found.values.setdefault(tuple(frame.at for frame in frames), match.start())
            if token in "{[":
                frames.append(_Frame(token == "{"))
    return found


def _enter_key(found: Places, frames: list[_Frame], frame: _Frame, key: str, offset: int) -> None:
    frame.at = key
    frame.awaits_key = False
    path = tuple(frame.at for frame in frames)
    if key in frame.seen:
        found.duplicates.append((path, offset))
    frame.seen.add(key)
    found.keys.setdefault(path, offset)


def token_offset(text: str, token: str) -> int:
    """Offset of the first token that reads exactly so (not inside a string); 0 when there is none."""
    return next((match.start() for match in _TOKEN.finditer(text) if match[0] == token), 0)


def open_bracket(text: str, end: int) -> int | None:
    """Offset of the innermost `{` or `[` that is still open at `end`, in a text that may be broken there."""
    stack: list[int] = []
    for match in _TOKEN.finditer(text, 0, end):
        if match[0] in "{[":
            stack.append(match.start())
        elif match[0] in "}]" and stack:
            stack.pop()
    return stack[-1] if stack else None


def too_deep(text: str, limit: int) -> int | None:
    """Offset of the bracket that opens level `limit` + 1, or None."""
    depth = 0
    for match in _TOKEN.finditer(text):
        if match[0] in "{[":
            depth += 1
            if depth > limit:
                return match.start()
        elif match[0] in "}]":
            depth -= 1
    return None


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, in characters, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def dotted(path: Path) -> str:
    """A path as people write it: `tolerations[0].key`, `nodeSelector["kubernetes.io/hostname"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return text
