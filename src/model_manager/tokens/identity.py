"""Who a token stands for, found in memory by its digest. No I/O: `issued.py` keeps the rows in step."""

import asyncio
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from hmac import compare_digest
from typing import Literal

from msgspec import Struct, field

Scope = Literal["admin", "read", "chat"]
"""`admin` may everything, `read` look at everything but tokens and bundles, `chat` use the models and nothing else."""


class Ended(asyncio.Event):
    """Set when an identity ends: its token was revoked, replaced or has expired. Then its open streams end too.

    `callbacks` are for whoever must not spend a task on waiting; each is called once, on the event loop's thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self.callbacks: set[Callable[[], None]] = set()

    def set(self) -> None:
        super().set()
        while self.callbacks:
            self.callbacks.pop()()


class Identity(Struct, eq=False, kw_only=True):
    """One who asks. `name` is the actor of events, `models` those that a `chat` token is limited to (None: all).

    `expires_at` and `used_at` are in seconds since the epoch; `used_at` is 0 until the service first sees it.
    """

    name: str
    scope: Scope
    models: frozenset[str] | None = None
    expires_at: float | None = None
    used_at: float = 0.0
    ended: Ended = field(default_factory=Ended)


def anonymous() -> Identity:
    """Who asks without a token, where none is needed. One for each event loop: `ended` belongs to one."""
    return Identity(name="anonymous", scope="read")


class Keyring:
    """Every token that was ever good, as SHA-256 digests: 256 random bits need no salt, and a digest looks up as fast
    for a wrong token as for a right one. `clock` tells seconds since the epoch.
    """

    def __init__(self, static: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._issued: dict[bytes, Identity] = {}
        self._static_digest = b""
        self._static: Identity | None = None
        if static:
            self.set_static(static)

    def identify(self, token: bytes) -> Identity | None:
        """Whose token it is, None for a wrong, revoked or expired one. Any bytes may be asked about."""
        digest = sha256(token).digest()
        if compare_digest(digest, self._static_digest):
            return self._static
        found = self._issued.get(digest)
        if found is None or found.ended.is_set():
            return None
        now = self._clock()
        if found.expires_at is not None and found.expires_at <= now:
            found.ended.set()
            return None
        found.used_at = now
        return found

    def why_not(self, token: bytes) -> str:
        """One sentence on a token that `identify` does not know; only who holds it learns that it was good once."""
        found = self._issued.get(sha256(token).digest())
        if found is None:
            return "The token is not a valid one."
        if found.expires_at is not None and found.expires_at <= self._clock():
            return f"{found.name} has expired."
        return f"{found.name} was revoked."

    def set_static(self, token: str) -> None:
        """From now on this is the static token; whoever used another one is out."""
        digest = sha256(token.encode()).digest()
        if digest != self._static_digest:
            if self._static is not None:
                self._static.ended.set()
            self._static = Identity(name="admin", scope="admin")
            self._static_digest = digest

    def add(self, digest: bytes, identity: Identity) -> None:
        self._issued[digest] = identity

    def forget(self, digest: bytes) -> None:
        self._issued.pop(digest, None)

    def get(self, digest: bytes) -> Identity | None:
        """Whose issued token has this digest, also when it has ended."""
        return self._issued.get(digest)

    def end(self, digest: bytes) -> None:
        """The token is revoked."""
        if digest in self._issued:
            self._issued[digest].ended.set()

    def end_expired(self) -> None:
        """For streams that are open when their token expires: nobody asks about it again."""
        now = self._clock()
        for identity in self._issued.values():
            if identity.expires_at is not None and identity.expires_at <= now and not identity.ended.is_set():
                identity.ended.set()

    def issued(self) -> Iterator[tuple[bytes, Identity]]:
        return iter(self._issued.items())
