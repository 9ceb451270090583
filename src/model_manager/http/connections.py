"""The connections of one server: how many there are, of whom, and which of them have been silent for too long.

Nothing here needs a timer of its own: one look over all connections, twice a second, finds those that are late. It
counts looks instead of reading a clock, so that nobody is late because the service itself stood still.
"""

import asyncio
import socket
from typing import NamedTuple, Protocol

from model_manager.errors import TooManyRequests, Unavailable

LINGERING = 128
"""Refused connections that are kept until their client has read why; beyond that they are just closed."""


class Limits(NamedTuple):
    """Counts of connections, and seconds."""

    connections: int = 4096
    per_client: int = 1024
    head_seconds: float = 10.0
    """For a whole head: from the connection on, or from the first byte of a further request."""
    body_seconds: float = 30.0
    """For each piece of a body (`protocol.BODY_PIECE`)."""
    idle_seconds: float = 75.0
    """Between two requests. Load balancers keep a connection for 60 s: shorter, and they would meet closed ones."""
    stall_seconds: float = 60.0
    """For a client to read on, while what is sent to it piles up."""
    look_seconds: float = 0.5


class Watched(Protocol):
    """A connection with deadlines, in the time of `Connections.now`; `late` is called when one has passed."""

    read_by: float
    write_by: float

    def late(self) -> None: ...


class Place:
    """One counted connection. `leave` gives the place back; once, however often it is called."""

    __slots__ = ("_client", "_connections", "_taken")

    def __init__(self, connections: "Connections", client: bytes) -> None:
        self._connections, self._client, self._taken = connections, client, True

    def leave(self) -> None:
        if self._taken:
            self._taken = False
            self._connections.give_back(self._client)


class Connections:
    """Counts connections and looks over them. One for each server, on one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.now = 0.0
        """Seconds that were looked over: a clock for deadlines alone, which stands while nobody is connected."""
        self._held: dict[bytes, int] = {}
        self._count = 0
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        return self._count

    @property
    def crowded(self) -> bool:
        """Whether too many connections beside the counted ones are watched on their way out."""
        return len(self._watched) - self._count > LINGERING

    def admit(self, address: str | None) -> Place:
        """A place for one more connection from `address`. Raises Unavailable, or TooManyRequests of that client."""
        if self._count >= self.limits.connections:
            raise Unavailable(
                f"The service holds {self._count} connections already, which is as many as it may.",
                "Come back in a moment, or let MODEL_MANAGER_MAX_CONNECTIONS be raised.",
                retry_after=1,
            )
        client = _client(address)
        held = self._held.get(client, 0)
        if address is not None and held >= self.limits.per_client:
            raise TooManyRequests(
                f"{address} holds {held} connections already, which is as many as one client may.",
                "Close some, or let MODEL_MANAGER_MAX_CONNECTIONS_PER_CLIENT be raised.",
                retry_after=1,
            )
        self._held[client] = held + 1
        self._count += 1
        return Place(self, client)

    def give_back(self, client: bytes) -> None:
        self._count -= 1
        left = self._held[client] - 1
        if left:
            self._held[client] = left
        else:
            del self._held[client]

    def watch(self, one: Watched) -> None:
        self._watched.add(one)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.limits.look_seconds, self._look)

    def forget(self, one: Watched) -> None:
        self._watched.discard(one)

    def _look(self) -> None:
        self.now += self.limits.look_seconds
        now = self.now
        for one in [one for one in self._watched if one.read_by < now or one.write_by < now]:
            one.late()
        self._timer = None
        if self._watched:
            self._timer = asyncio.get_running_loop().call_later(self.limits.look_seconds, self._look)


def _client(address: str | None) -> bytes:
    """Whom an address stands for. In IPv6 one host has a whole /64 of them (RFC 6177)."""
    if address is None or ":" not in address:
        return (address or "").encode()
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    is_ipv4 = packed.startswith(bytes(10) + b"\xff\xff")
    return packed if is_ipv4 else packed[:8]
