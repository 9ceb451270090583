"""What a request needs, by its method and path alone, and what it presents. Pure; closed unless a rule here opens it.

It is decided before routing, so a new route is closed without anyone having to remember it: changes need an
`admin`, reads a `read`, and what is below `/v1/` a `chat`.
"""

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from model_manager.http.hosts import LOOPBACK
from model_manager.tokens import Scope

Access = Literal["open", "any", "token", "read", "chat", "admin"]
"""`open`: nothing; `token`: a token of whatever scope; `any`: the same, or none where reading needs none."""

GRANTED: dict[Access, frozenset[Scope]] = {
    "any": frozenset({"admin", "read", "chat"}),
    "token": frozenset({"admin", "read", "chat"}),
    "read": frozenset({"admin", "read"}),
    "chat": frozenset({"admin", "chat"}),
    "admin": frozenset({"admin"}),
}
"""The scopes that have each access."""

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by kubelets and Prometheus, which carry no token and call us by our address; they tell nothing worth hiding."""

GATEWAY = "/v1/"
"""Below it one asks a model, and changes nothing of ours."""

UNPREFIXED = frozenset({"/chat/completions", "/completions", "/embeddings", "/responses"})
"""What OpenAI's clients ask for when the `/v1` is missing from their base URL."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})

_SIGNED = ("POST", "/catalog/webhook")
"""Its handler checks a signature of its own: a Git server has no token of ours."""

_ADMINS = re.compile(r"/(tokens|support-bundle)(/.*)?", re.DOTALL)
"""Reads that are an administrator's: who has access, and everything at once."""

_LOOPBACK = re.compile(LOOPBACK.encode() + rb"(:\d+)?", re.IGNORECASE)

_FORWARDED = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})

_LOOKED_AT = _FORWARDED | {b"host", b"origin", b"authorization", b"x-api-key"}


def access(method: str, path: str, public_paths: frozenset[str] = PUBLIC_PATHS) -> Access:
    """What a request needs."""
    reading = method in READING
    if reading and path in public_paths:
        return "open"
    if path.startswith(GATEWAY):
        return "any" if reading and (path == "/v1/models" or path.startswith("/v1/models/")) else "chat"
    if not reading:
        return "open" if (method, path) == _SIGNED else "admin"
    if path == "/tokens/current":
        return "token"
    return "admin" if _ADMINS.fullmatch(path) else "read"


class Presented(Struct):
    """What a request says of itself: all the tokens it carries; one host and one origin at most, if it is honest."""

    hosts: list[bytes]
    origins: list[bytes]
    tokens: list[bytes]
    forwarded: bool

    @property
    def is_of_this_machine(self) -> bool:
        """Whether a request that reached loopback is a local program's: neither a proxy's nor that of a web page which
        leads a name of its own to 127.0.0.1 (DNS rebinding), for then `Host` has that name.
        """
        return not self.forwarded and all(map(_LOOPBACK.fullmatch, self.hosts))


def presented(headers: Iterable[tuple[bytes, bytes]]) -> Presented:
    """Read what matters here, whichever way it is carried; one policy for all tokens.

    `Authorization: Bearer T`, `Authorization: T` (as clients of the original send it) and `X-API-Key: T`.
    Never the query or a cookie: those end up in logs, and browsers send the latter unasked.
    """
    found = Presented([], [], [], False)
    for name, value in headers:
        if name not in _LOOKED_AT:
            continue
        if name == b"host":
            found.hosts.append(value)
        elif name == b"origin":
            found.origins.append(value)
        elif name in _FORWARDED:
            found.forwarded = True
        elif token := _bearer(value) if name == b"authorization" else value.strip():
            found.tokens.append(token)
    return found


def _bearer(value: bytes) -> bytes:
    token = value.strip()
    scheme, _, rest = token.partition(b" ")
    return rest.strip() if scheme.lower() == b"bearer" else token
