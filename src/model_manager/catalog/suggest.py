"""Did you mean …? Close words for a mistyped one. Pure."""

import re
from collections.abc import Iterable, Sequence

# difflib takes about 20 µs a word, and the event loop calls this: of a long list, only plausible words are compared.
_COMPARED = 400


def close(word: str, words: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of `words` that look like `word`, best first; case, `-`, `_` and `.` hardly matter."""
    word = word[:100]
    plain = {candidate: _plain(candidate) for candidate in _plausible(word, list(words))}
    from difflib import get_close_matches  # only here: few starts have a mistake to explain

    matches = get_close_matches(_plain(word), list(dict.fromkeys(plain.values())), n=count, cutoff=0.6)
    found = [candidate for match in matches for candidate, text in plain.items() if text == match]
    return found[:count]


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """ "did you mean `maxModelLen`?", or ""."""
    found = close(word, words)
    return "did you mean " + " or ".join(f"`{candidate}`" for candidate in found) + "?" if found else ""


def _plain(word: str) -> str:
    return re.sub(r"[-_. ]", "", word).lower()


def _plausible(word: str, words: Sequence[str]) -> Sequence[str]:
    if len(words) <= _COMPARED:
        return words
    start = word[:3].lower()
    likely = [candidate for candidate in words if candidate.startswith(start) or word in candidate]
    return likely[:_COMPARED]
