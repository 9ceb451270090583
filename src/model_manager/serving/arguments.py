"""An entry's extra arguments: split into flags with their values, and rid of those that are not the entry's to give.

Pure. A refused flag goes with its values: left behind, a value would be read as a positional, which for
`vllm serve` is the model.
"""

import re
import shlex
from collections.abc import Iterable, Sequence

from msgspec import Struct

from model_manager.serving.flags import GRAMMARS, Grammar
from model_manager.serving.runtime import Engine

_NUMBER = re.compile(r"-\.?\d")


class Flag(Struct, frozen=True):
    """One flag as written, with the words that belong to it. `text` is "" for words that follow no flag."""

    text: str
    values: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return (self.text, *self.values) if self.text else self.values

    @property
    def inline(self) -> str | None:
        """The value of the `--flag=value` spelling."""
        _name, equals, value = self.text.partition("=")
        return value if equals else None


def split(arguments: Iterable[str]) -> tuple[str, ...]:
    """Words: blank ones dropped, `"--flag value"` in one text taken apart, JSON and quoted values left whole.

    >>> split(["--dtype half", " ", '--x {"a": 1}', "--name=two words"])
    ('--dtype', 'half', '--x', '{"a": 1}', '--name=two words')
    """
    words: list[str] = []
    for argument in arguments:
        words += _split_one(argument.strip())
    return tuple(words)


def _split_one(argument: str) -> list[str]:
    head, _, rest = argument.partition(" ")
    if not argument.startswith("-") or not rest or "=" in head:
        return [argument] if argument else []
    if rest.lstrip().startswith(("{", "[")):
        return [head, rest.strip()]
    try:
        return shlex.split(argument)
    except ValueError:  # a quote that is never closed is part of the value
        return [head, rest.strip()]


def parse(words: Sequence[str]) -> tuple[Flag, ...]:
    """Words grouped by flag. A negative number is a value, not a flag."""
    flags: list[Flag] = []
    for word in words:
        if word.startswith("-") and not _NUMBER.match(word):
            flags.append(Flag(word))
        elif flags:
            flags[-1] = Flag(flags[-1].text, (*flags[-1].values, word))
        else:
            flags.append(Flag("", (word,)))
    return tuple(flags)


def flag_name(text: str, grammar: Grammar) -> str | None:
    """The long name a flag stands for: `--Served_Model_Name=x` and `--served-model-name` are one. None: no such name.

    vLLM reads `-` and `_` alike, takes `--flag.key value` for a part of a JSON value, and `-tp2` for `-tp 2`.
    """
    written = text.partition("=")[0].partition(".")[0]
    if written.startswith("--"):
        return written[2:].replace("_", "-").lower()
    short = written[1:].rstrip("0123456789")
    return grammar.short.get(short)


def is_ours(name: str, grammar: Grammar) -> bool:
    """Whether the service alone decides this flag, however it is spelled."""
    if name in grammar.ours or name.startswith(grammar.ours_prefixes):
        return True
    if not grammar.abbreviates or name in grammar.full:
        return False
    return any(ours.startswith(name) for ours in (*grammar.ours, *grammar.ours_prefixes))


def clean(arguments: Iterable[str], engine: Engine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of an entry's arguments that may stand, and a sentence for each flag that was left out."""
    grammar = GRAMMARS[engine]
    kept: list[str] = []
    notes: list[str] = []
    for flag in parse(split(arguments)):
        why = _refusal(flag, grammar)
        if why:
            notes.append(f"The argument {' '.join(flag.words)[:120]!r} is left out: {why}.")
        else:
            kept += flag.words
    return tuple(kept), tuple(notes)


def _refusal(flag: Flag, grammar: Grammar) -> str | None:
    """Why a flag may not stand, as the end of a sentence; None when it may."""
    if not flag.text:
        return "it is no flag, and the model server would take it for the model"
    name = flag_name(flag.text, grammar)
    if name is None:
        return "short flags are not all known; write it with its long name"
    if name in grammar.retired:
        return grammar.retired[name]
    if not name or is_ours(name, grammar):
        return "the service decides it"
    return None
