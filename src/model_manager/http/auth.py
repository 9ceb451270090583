"""Who may: the one place where a request is let in or refused, before it is routed."""

import logging
from collections.abc import Iterable
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.errors import Forbidden, NotFound, TooManyRequests, Unauthorized
from model_manager.http.access import (
    GRANTED,
    PUBLIC_PATHS,
    READING,
    UNPREFIXED,
    Access,
    Presented,
    access,
    presented,
)
from model_manager.http.hosts import Hosts, Origins
from model_manager.tokens import Failures, Identity, Keyring, anonymous

log = logging.getLogger(__name__)

Reads = Literal["auto", "token", "open"]
"""Whether reads need a token: `auto` asks for one unless the request comes from this machine alone."""


class Auth:
    """The policy of a service. `loopback`: it listens where only this machine can reach it.

    There, programs of this machine may read and chat without a token, unless `reads` is `token`; web pages and
    what a proxy passes on may not. `allowed_hosts` empty: loopback's names on loopback, else every name.
    """

    def __init__(
        self,
        keyring: Keyring,
        failures: Failures | None = None,
        *,
        loopback: bool,
        reads: Reads = "auto",
        public_paths: Iterable[str] = PUBLIC_PATHS,
        allowed_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
    ) -> None:
        self._keyring = keyring
        self._failures = failures or Failures()
        self._anonymous = anonymous()
        self._local_is_open = loopback and reads != "token"
        self._reads_are_open = reads == "open"
        self._public = frozenset(public_paths)
        names = tuple(allowed_hosts)
        self._hosts = Hosts(names if names or loopback else None)
        self.origins = Origins(cors_origins)

    def identify(
        self, headers: Iterable[tuple[bytes, bytes]], method: str, path: str, client: str = ""
    ) -> Identity:
        """Who asks, if they may. `headers` have lower-case names, `client` is the address it came from.

        Raises MisdirectedRequest, InvalidRequest (`Host`), NotFound, Unauthorized, TooManyRequests or Forbidden.
        """
        if path in self._public and method in READING:
            return self._anonymous
        shown = presented(headers)
        self._hosts.check(shown.hosts)
        if shown.origins:
            self.origins.check(shown.origins, shown.hosts)
        if path in UNPREFIXED:  # said before a token is asked for: none would help
            raise NotFound(
                f"There is nothing at {path}.", f"Models are asked at /v1{path}: end the base URL in /v1."
            )
        needed = access(method, path, self._public)
        if needed == "open":
            return self._anonymous
        if self._needs_none(needed, shown):
            # What is open asks for nothing: OpenAI clients must send some key. A right one still says who asks.
            return self._known(shown.tokens, client) or self._anonymous
        identity = self._known(shown.tokens, client) or self._refuse(shown.tokens, needed, client)
        if identity.scope not in GRANTED[needed]:
            raise Forbidden(
                f"This needs a token of scope {_scopes(needed)}; {identity.name} has scope {identity.scope}."
            )
        return identity

    def _needs_none(self, needed: Access, shown: Presented) -> bool:
        if needed in ("read", "any") and self._reads_are_open:
            return True
        return needed in ("read", "any", "chat") and self._local_is_open and shown.is_of_this_machine

    def _known(self, tokens: list[bytes], client: str) -> Identity | None:
        """Whose the tokens are: all of them, for a right one does not excuse a wrong one beside it."""
        if not tokens:
            return None
        identity = self._keyring.identify(tokens[0])
        for other in tokens[1:]:
            if self._keyring.identify(other) is not identity:
                return None
        if identity is None or not self._failures.succeeded(client, identity):
            return None
        return identity

    def _refuse(self, tokens: list[bytes], needed: Access, client: str) -> Identity:
        if not tokens:
            hint = "Send it as `Authorization: Bearer <token>`."
            if self._local_is_open and needed in ("any", "read", "chat"):
                hint += " Programs of this machine need none when they ask 127.0.0.1 or localhost directly."
            raise Unauthorized(f"This needs a token of scope {_scopes(needed)}.", hint)
        if seconds := self._failures.seconds_blocked(client):
            raise TooManyRequests(
                "Too many wrong tokens came from this address.",
                f"Wait {seconds} s, and check the token meanwhile.",
                retry_after=seconds,
            )
        wrong = [token for token in tokens if self._keyring.identify(token) is None]
        if not wrong:
            raise Unauthorized("The request carries two different tokens.", "Send one of them.")
        if self._failures.failed(client):
            log.warning("%s sent too many wrong tokens; its tokens are not looked at for a while", client)
        raise Unauthorized(self._keyring.why_not(wrong[0]), "An administrator can issue another one.")


class Guard:
    """ASGI middleware: lets in whom `auth` does, and tells the application who it is."""

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            identity = self._auth.identify(
                scope["headers"], scope["method"], scope["path"], client[0] if client else ""
            )
            state = scope.setdefault("state", {})
            state["identity"], state["actor"] = identity, identity.name
        await self._app(scope, receive, send)


def _scopes(needed: Access) -> str:
    return " or ".join(scope for scope in ("read", "chat", "admin") if scope in GRANTED[needed])
