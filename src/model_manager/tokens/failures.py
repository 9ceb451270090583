"""Failed tokens, counted per client: guessing is slowed down, and what happened can be told. No I/O."""

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from msgspec import Struct

from model_manager.tokens.identity import Identity

LIMIT = 10
"""Failures of one client in one window, after which its tokens are not looked at until the window is over."""

WINDOW = 60.0
"""Seconds."""

PROVEN_FOR = 3600.0
"""Seconds for which a token that was right stays exempt for the client that showed it: others may share its address."""

CLIENTS = 4096
"""Clients, and tokens of clients, that are remembered; then the oldest are forgotten."""

TOLD = 100
"""Clients that are told of by name between two `take`s; what others did is summed up."""

OTHERS = "others"


class _Window(Struct):
    over_at: float
    failures: int = 0


class Failures:
    """`clock` tells seconds that only grow. Clients are named by address, those of IPv6 by their /64."""

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._proven: dict[tuple[str, Identity], float] = {}
        self._refused: Counter[str] = Counter()

    def seconds_blocked(self, client: str) -> int:
        """How long this client must wait, rounded up; 0 when it need not."""
        if not self._windows:
            return 0
        window = self._windows.get(source(client))
        if window is None or window.failures < self.limit:
            return 0
        return max(0, math.ceil(window.over_at - self._clock()))

    def failed(self, client: str) -> bool:
        """Count one failure; True when it is the one that blocks the client."""
        client, now = source(client), self._clock()
        window = self._windows.get(client)
        if window is None or window.over_at <= now:
            self._windows.pop(client, None)
            _make_room(self._windows)
            window = self._windows[client] = _Window(now + WINDOW)
        window.failures += 1
        self._refused[client if client in self._refused or len(self._refused) < TOLD else OTHERS] += 1
        return window.failures == self.limit

    def succeeded(self, client: str, identity: Identity) -> bool:
        """Whether a right token may be used now; it is then remembered as proven by this client."""
        proof = (client, identity)
        now, proven = self._clock(), self._proven.get(proof, -math.inf)
        if proven + PROVEN_FOR <= now and self.seconds_blocked(client):
            return False
        if proof not in self._proven:
            _make_room(self._proven)
        self._proven[proof] = now
        return True

    def take(self) -> dict[str, int]:
        """Failures by client since it was last asked."""
        refused, self._refused = self._refused, Counter()
        return dict(refused)


def source(client: str) -> str:
    """What is counted as one client: a host gets a whole /64 of IPv6, and an IPv4 address may come dressed as IPv6."""
    return _network(client) if ":" in client else client


@lru_cache(maxsize=1024)
def _network(client: str) -> str:
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))


def _make_room(entries: dict[Any, Any]) -> None:
    while len(entries) >= CLIENTS:
        entries.pop(next(iter(entries)))
