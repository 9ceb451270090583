"""Text for others' eyes, without what is or looks like a secret. Rather too much is blotted out than too little.

Beyond the secrets that the service knows (`logs.redact`) there are those it never saw as such: in an entry's `env`, in
what a model server or a worker logged. They are known by their shape, or by the name they are given.
"""

import re
from typing import Any

import msgspec

from model_manager.logs import REDACTED, redact

LEARNABLE = 8
"""Characters from which on a value with a secret's name is a secret wherever it stands; a shorter one is a word."""

_NAMES = (
    r"(?:token(?!s|iz)|secret|passw(?:or)?d|passphrase|pwd|signature|api[ _-]?key|account[_-]?key|access[_-]?key"
    r"|private[_-]?key|credential|authorization|auth[_-]?key)"
)
# Patterns are texts: `re` compiles each at its first use and keeps it, and most services never have a use for them.
_NAMED = rf"(?i){_NAMES}"
_PLACE = r"(?i)(?:env|file|path|name|ref)$"
"""Ends of names that tell where a secret is to be found, and not what it is."""
_FLAG = rf"(?i)--?[\w.-]{{0,60}}{_NAMES}[\w.-]{{0,40}}"

# A shape is looked for only in lines that hold its mark (in lower case): most hold none, and a search for each shape
# would take seconds for a bundle. Repeats are bounded, or begin only where a word begins: nothing else runs while a
# hostile line is searched.
_SHAPES = (
    ("://", r"(?<=://)[^/\s\"']{1,500}(?=@)"),
    ("://", r"(?<=://)[^/\s\"':]{0,100}:(?!\d+/)[^@\s\"']{1,100}(?=@)"),  # a password with a slash in it
    ("sig=", r"(?<=[?&]sig=)[^&\s\"']+"),  # Azure's signed addresses
    ("hooks.slack.com/", r"(?<=hooks\.slack\.com/)[\w/]+"),
    ("cookie:", r"(?i)(?<=cookie: )[^\r\n]+"),
    ("authorization: ", r"(?i)(?<=authorization: )[^\r\n\"']+"),
    ("bearer ", r"(?i)\bbearer +[\w.~+/=-]{6,}"),
    ("basic ", r"(?i)\bbasic +[\w.~+/=-]{6,}"),
    ("hf_", r"\bhf_[A-Za-z0-9]{6,}"),
    ("gh", r"\bgh[pousr]_\w{6,}"),
    ("github_pat_", r"\bgithub_pat_\w{6,}"),
    ("gl", r"\bgl(?:pat|dt|rt|ptt|cbt|soat|ft|agent)-[\w.-]{6,}"),
    ("akia", r"\bAKIA[A-Z0-9]{12,}"),
    ("asia", r"\bASIA[A-Z0-9]{12,}"),
    ("sk-", r"\bsk-[\w-]{16,}"),
    ("k_", r"\b[rs]k_(?:live|test)_\w{6,}"),
    ("npm_", r"\bnpm_\w{20,}"),
    ("nvapi-", r"\bnvapi-[\w-]{6,}"),
    ("aiza", r"\bAIza[\w-]{20,}"),
    ("xox", r"\bxox[abeoprs]-[\w-]{6,}"),
    ("eyj", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"),  # a JSON Web Token
)
# Quoted, also to a line's cut end; quoted in a text that is quoted itself; else a word.
_VALUE = (
    r"(?:b?\"(?:[^\"\\\r\n]|\\.)*(?:\"|$)|b?'[^'\r\n]*(?:'|$)|\\{1,8}\"[^\"\r\n]*(?:\"|$)|[^\s\"',;&{}\[\]]+)"
)
_PAIR = rf"(?i)({_NAMES}[\w.-]{{0,40}}(?:\\{{0,8}}[\"'])?\s{{0,4}}(?::=|=>|->|==?|:|%3D)\s{{0,20}}){_VALUE}"
_OPTION = rf"(?i)(?<![\w.-])(--?[\w.-]{{0,60}}?{_NAMES}[\w.-]{{0,40}}\s{{1,4}}){_VALUE}"
_IN_NAMES = (
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "signature",
    "key",
    "credential",
    "authorization",
)

_KEY_MARK = "PRIVATE KEY"
_KEY = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
    r"(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_END_OF_KEY = r"\A[\s\S]*?-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
"""Of a key whose beginning was cut off."""


def redacted(text: str) -> str:
    """The text without secrets that are known, look like one or are called one."""
    text = redact(text)
    if _KEY_MARK in text:
        text = re.sub(_END_OF_KEY, REDACTED, re.sub(_KEY, REDACTED, text))
    return "".join(map(_line, text.splitlines(keepends=True)))


def _line(text: str) -> str:
    lowered = text.lower()
    for mark, shape in _SHAPES:
        if mark in lowered:
            text = re.sub(shape, REDACTED, text)
    if any(word in lowered for word in _IN_NAMES):
        text = re.sub(_OPTION, rf"\1{REDACTED}", re.sub(_PAIR, rf"\1{REDACTED}", text))
    return text


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
        if isinstance(value, str) and value and re.search(_NAMED, name) and not re.search(_PLACE, name):
            self._learn(value)
            return REDACTED
        return self.value(value)

    def _variable(self, item: Any) -> Any:
        if not isinstance(item, dict) or not isinstance(item.get("value"), str):
            return self.value(item)
        if re.search(_NAMED, str(item.get("name", ""))):
            self._learn(item["value"])
        return {**self.value(item), "value": REDACTED}

    def _items(self, items: list[Any]) -> list[Any]:
        if all(isinstance(item, str) for item in items) and any(_KEY_MARK in item for item in items):
            return redacted("\n".join(items)).split("\n")  # a key over several lines of a log
        shown = [self.value(item) for item in items]
        for index, item in enumerate(items[:-1]):
            if isinstance(item, str) and re.fullmatch(_FLAG, item) and isinstance(items[index + 1], str):
                self._learn(items[index + 1])
                shown[index + 1] = REDACTED
        return shown

    def _learn(self, value: str) -> None:
        if len(value) >= LEARNABLE:
            self._learned.update(
                (value, msgspec.json.encode(value).decode()[1:-1])
            )  # and as it stands in JSON
