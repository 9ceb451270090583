"""Who may: one bearer token, compared in constant time; closed unless a rule here opens it.

Access is decided by method and path alone, before routing: reads may be open (on loopback), everything that
can change something needs the token. A new route is therefore closed without anyone having to remember it.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.errors import Forbidden, Unauthorized

Access = Literal["open", "read", "write"]

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by kubelets and Prometheus, which carry no token; they tell nothing worth hiding."""

GATEWAY = "/v1/"
"""Below it a POST asks a model and changes nothing of ours: it counts as a read."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_LOOPBACK = rb"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?"
_HOST = re.compile(_LOOPBACK, re.IGNORECASE)
_ORIGIN = re.compile(rb"https?://" + _LOOPBACK, re.IGNORECASE)


def access(method: str, path: str, open_paths: frozenset[str] = OPEN_PATHS) -> Access:
    """What a request needs: nothing, the right to read, or the right to change."""
    if method in _READING:
        return "open" if path in open_paths else "read"
    return "read" if path.startswith(GATEWAY) else "write"


class Auth:
    """ASGI middleware. Raises Unauthorized (no or wrong token) or Forbidden (nobody has one).

    `reads_open` opens reads to programs of this machine, not to web pages in its browsers. `token` None means
    that none was configured: then nothing that needs it is answered.
    `open_paths` adds exact paths that are readable by everyone, such as the page where one enters the token.
    """

    def __init__(
        self, app: ASGIApp, *, token: str | None, reads_open: bool, open_paths: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._digest = sha256(token.encode()).digest() if token else None
        self._reads_open = reads_open
        self._open_paths = OPEN_PATHS.union(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            needed = access(scope["method"], scope["path"], self._open_paths)
            is_open = self._reads_open and is_from_this_machine(scope["headers"])
            if needed == "write" or (needed == "read" and not is_open):
                self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if self._digest is None:
            raise Forbidden(
                "This needs a token, and the service has none.", "Start it with MODEL_MANAGER_API_TOKEN set."
            )
        presented = credentials(scope["headers"])
        if not presented:
            hint = "Send it as `Authorization: Bearer <token>`."
            if self._reads_open:
                hint += " Reading needs none at 127.0.0.1 or localhost, except for web pages from elsewhere."
            raise Unauthorized("This needs a token.", hint)
        # All of them, and without a short cut: a right token does not excuse a wrong one beside it.
        matches = [hmac.compare_digest(sha256(token).digest(), self._digest) for token in presented]
        if not all(matches):
            raise Unauthorized("The token is not the right one.")


def is_from_this_machine(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request on loopback is a local program's, not that of somebody's web page in a local browser.

    Such a page may lead a name of its own to 127.0.0.1, so that the browser lets it read our answers (DNS
    rebinding): then `Host` has that name. Or it sends what needs no permission: then `Origin` is the page's.
    """
    rules = {b"host": _HOST, b"origin": _ORIGIN}
    return all(rules[name].fullmatch(value.strip()) for name, value in headers if name in rules)


def credentials(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Every token that a request presents, whichever way it carries it; one policy for all of them.

    `Authorization: Bearer T`, `Authorization: T` (as clients of the original send it) and `X-API-Key: T`.
    Never the query or a cookie: those end up in logs, and browsers send the latter unasked.
    """
    found = []
    for name, value in headers:
        token = value.strip()
        if name == b"authorization":
            scheme, _, rest = token.partition(b" ")
            if scheme.lower() == b"bearer":
                token = rest.strip()
        elif name != b"x-api-key":
            continue
        if token:
            found.append(token)
    return found
