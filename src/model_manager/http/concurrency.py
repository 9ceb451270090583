"""How much of the service one caller, or one expensive route, may take at the same time.

Counted while a handler makes its answer, not while a stream is read; the gateway has limits of its own. What is too
much is refused at once, since a queue would only hide it: HTTP's 429 tells a client to come back.
"""

from starlette.types import Scope

from model_manager.errors import TooManyRequests

EACH = 100
"""Requests of one caller: more than any client of ours asks at once, a fraction of what would hold up others."""


class ConcurrencyLimits:
    """One for an application, on one event loop: `acquire` for a request, and `release` what it returned."""

    def __init__(self, each: int = EACH) -> None:
        self._each = each
        self._taken: dict[str, int] = {}

    def acquire(self, scope: Scope, route: str, at_once: int | None) -> tuple[str, ...]:
        """Raises TooManyRequests, and has taken nothing then."""
        caller = _caller(scope)
        if at_once is not None and self._taken.get(route, 0) >= at_once:
            raise TooManyRequests(
                f"{route} is expensive, and {at_once} of it are under way already.",
                "Ask again in a second.",
                retry_after=1,
            )
        if self._taken.get(caller, 0) >= self._each:
            raise TooManyRequests(
                f"{self._each} requests of this client are being answered already.",
                "Ask for less at the same time.",
                retry_after=1,
            )
        names = (caller,) if at_once is None else (caller, route)
        for name in names:
            self._taken[name] = self._taken.get(name, 0) + 1
        return names

    def release(self, names: tuple[str, ...]) -> None:
        for name in names:
            if self._taken[name] == 1:
                del self._taken[name]
            else:
                self._taken[name] -= 1


def _caller(scope: Scope) -> str:
    """A token, wherever it is used; without one, an address."""
    identity = scope["state"]["identity"]
    if identity.name == "anonymous":
        client = scope.get("client")
        return f"at {client[0]}" if client else "at ?"
    return str(identity.name)
