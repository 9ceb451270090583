"""Text for others' eyes, without what is or looks like a secret. Rather too much is blotted out than too little.

Beyond the secrets that the service knows (`logs.redact`) there are those it never saw as such: in an entry's `env`, in
what a model server or a worker logged. They are known by their shape, or by the name they are given.
"""

import re
from typing import Any

from model_manager.logs import REDACTED, redact

LEARNABLE = 8
"""Characters from which on a value with a secret's name is a secret wherever it stands; a shorter one is a word."""

_NAMES = (
    r"(?:token(?!s|iz)|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|credential"
    r"|authorization|auth[_-]?key)"
)
_NAMED = re.compile(rf"(?i){_NAMES}")
_FLAG = re.compile(rf"(?i)--?[\w.-]{{0,60}}{_NAMES}[\w.-]{{0,40}}")

# Bounded repeats: a hostile log line of a megabyte must not take a minute.
_SHAPES = tuple(
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
        r"\A[\s\S]*?-----END [A-Z ]{0,30}PRIVATE KEY-----",  # its beginning was cut off
        r"(?<=://)[^/@\s\"']{1,500}(?=@)",
        r"(?i)\b(?:bearer|basic) +[\w.~+/=-]{6,}",
        r"\bhf_[A-Za-z0-9]{6,}",
        r"\b(?:gh[pousr]_|github_pat_)\w{6,}",
        r"\bgl(?:pat|dt|rt|ptt|cbt|soat|ft|agent)-[\w.-]{6,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
        r"\bsk-[\w-]{16,}",
        r"\bxox[abeoprs]-[\w-]{6,}",
        r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?",  # a JSON Web Token
    )
)
_VALUE = r"(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s\"',;&{}\[\]]+)"
_PAIR = re.compile(rf"(?i)({_NAMES}[\w.-]{{0,40}}[\"']?\s{{0,4}}[:=]\s{{0,4}}){_VALUE}")
_OPTION = re.compile(rf"(?i)(--[\w.-]{{0,60}}?{_NAMES}[\w.-]{{0,40}}\s{{1,4}}){_VALUE}")


def redacted(text: str) -> str:
    """The text without secrets that are known, look like one or are called one."""
    text = redact(text)
    for shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    return _OPTION.sub(rf"\1{REDACTED}", _PAIR.sub(rf"\1{REDACTED}", text))


class Redactor:
    """Redacts many things of one kind of reader, and remembers: what was called a secret in one is none in another."""

    def __init__(self) -> None:
        self._learned: set[str] = set()

    def value(self, value: Any) -> Any:
        """Any JSON-able value with its strings redacted; of environment variables only the names remain."""
        if isinstance(value, str):
            return redacted(value)
        if isinstance(value, dict):
            return {redacted(str(name)): self._field(str(name), item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return self._items(list(value))
        return value

    def known(self, text: str) -> str:
        """The text without what was learned. To be applied when everything has been seen."""
        for secret in sorted(self._learned, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text

    def _field(self, name: str, value: Any) -> Any:
        if name == "env" and isinstance(value, list | tuple):
            return [self._variable(item) for item in value]
        if isinstance(value, str) and value and _NAMED.search(name):
            self._learn(value)
            return REDACTED
        return self.value(value)

    def _variable(self, item: Any) -> Any:
        if not isinstance(item, dict) or not isinstance(item.get("value"), str):
            return self.value(item)
        if _NAMED.search(str(item.get("name", ""))):
            self._learn(item["value"])
        return {**self.value(item), "value": REDACTED}

    def _items(self, items: list[Any]) -> list[Any]:
        if all(isinstance(item, str) for item in items) and any("PRIVATE KEY-----" in item for item in items):
            return redacted("\n".join(items)).split("\n")  # a key over several lines of a log
        shown = [self.value(item) for item in items]
        for index, item in enumerate(items[:-1]):
            if isinstance(item, str) and _FLAG.fullmatch(item) and isinstance(items[index + 1], str):
                self._learn(items[index + 1])
                shown[index + 1] = REDACTED
        return shown

    def _learn(self, value: str) -> None:
        if len(value) >= LEARNABLE:
            self._learned.add(value)
