"""Entity tags: who has an answer already is told so (304) instead of being sent it again (RFC 9110 §13.1.2). Pure."""

import re
from hashlib import sha256

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(data: bytes) -> str:
    """A strong tag: the same for the same bytes, whichever version of the service sends them."""
    return quoted(sha256(data).hexdigest())


def quoted(digest: str) -> str:
    """The tag of bytes whose SHA-256 is known; half of it tells them from all others."""
    return f'"{digest[:32]}"'


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Whether the client says with `If-None-Match` that it has what `etag` names: by name, or `*` (whatever it is).

    Weak tags count too: for reading, RFC 9110 wants the weak comparison. What is malformed names nothing.
    """
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)
