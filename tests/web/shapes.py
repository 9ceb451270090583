"""The shapes of answers as documents write them: `{status, job{id, error?}, models[{id}]}`; `text` is no JSON."""

import re
from typing import Any

_TOKEN = re.compile(r"\s*([\w]+|[{}\[\]?,])")


def unlike(shape: str, value: Any) -> list[str]:
    """What keeps a value from having this shape; nothing when it has. A value may have more fields than are named."""
    reader = _Reader(shape)
    wrong = list(reader.check(value, "the answer", present=True))
    assert not reader.left, f"{shape!r} goes on with {reader.left[0]!r}"
    return wrong


class _Reader:
    """Walks the shape once, beside the value."""

    def __init__(self, shape: str) -> None:
        self.left = _TOKEN.findall(shape)

    def check(self, value: Any, where: str, *, present: bool) -> list[str]:
        if self.left[:1] == ["{"]:
            return self._object(value, where, present)
        if self.left[:1] == ["["]:
            return self._list(value, where, present)
        return []

    def _object(self, value: Any, where: str, present: bool) -> list[str]:
        wrong = [f"{where} is no object"] if present and not isinstance(value, dict) else []
        fields = value if isinstance(value, dict) else {}
        self.left.pop(0)
        while (name := self.left.pop(0)) != "}":
            if name == ",":
                continue
            optional = self.left[:1] == ["?"] and bool(self.left.pop(0))
            there = name in fields
            if isinstance(value, dict) and not there and not optional:
                wrong.append(f"{where} lacks {name}")
            wrong += self.check(fields.get(name), f"{where}.{name}", present=there)
        return wrong

    def _list(self, value: Any, where: str, present: bool) -> list[str]:
        wrong = [f"{where} is no list"] if present and not isinstance(value, list) else []
        items = value if isinstance(value, list) else []
        self.left.pop(0)
        inside = self.left[:]
        for number, item in enumerate(items or [None]):  # at least once, to get past the item's shape
            self.left = inside[:]
            wrong += self.check(item, f"{where}[{number}]", present=bool(items))
        assert self.left.pop(0) == "]"
        return wrong
