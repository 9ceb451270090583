"""A way past HTTP's parser and ASGI, for requests whose head is one that was let in before.

What a client says in the head of a request is, but for the length of the body, what it said in the last one. So a head
that the parser has read, and the application has let in, is known when it comes again. Only a whole request is taken,
nothing missing and nothing behind it; everything else is the parser's, which then sees what was held back for it.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from model_manager.http.outlet import fields_of, head_of
from model_manager.relay.known import cut, is_sound

EXTENSION = "model_manager.head"

BODY_BYTES = 64 * 1024
"""Longer bodies take the usual way: nobody counts how much of them is held here."""

_fields_of_all = lru_cache(maxsize=8)(fields_of)
"""What every answer has in its head: the same for a second."""

UsualWay = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]


class Head(NamedTuple):
    """A head as it can be met again, offered as `scope["extensions"]["model_manager.head"]`."""

    host: str
    """The address that it came from: who may also depends on that."""
    data: bytes
    """Without the digits of its length."""
    keep_alive: bool
    """Whether the connection goes on after it."""


class Taken(Protocol):
    """A request that took the short way, and is not answered yet."""

    def hand_over(self) -> None:
        """Call `Client.go_on`: it cannot end here."""

    def gone(self) -> None:
        """The client left."""


class Client(Protocol):
    """Who waits for an answer to a request that was taken. One of these is called, once, unless it is gone."""

    def answer(self, fields: bytes, body: bytes, *, keep_alive: bool) -> None:
        """200, with these lines of headers beside those of every answer, and this body; both whole."""

    def go_on(self, way: UsualWay) -> None:
        """Let the parser read the request after all, and `way` take it to the application."""


class Known(Protocol):
    """A head that was let in."""

    def take(self, body: bytes, client: Client) -> Taken | None:
        """The request, if it is taken. Must not wait."""


class Shortcut(Protocol):
    """Whoever remembers heads."""

    def known(self, host: str, data: bytes) -> Known | None: ...


class ShortcutProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the short way before it. What `offer` leaves is for `feed`."""

    shortcut: ClassVar[Shortcut | None] = None

    _held = b""
    """A request that the parser has not seen: it was taken, or waits for the rest of its body."""

    _taken: Taken | None = None

    _cut: bytes | None = None
    """The head that the parser is about to read, if it may be met again."""

    _way: UsualWay | None = None

    def feed(self, data: bytes) -> None:
        """Let the parser read."""
        raise NotImplementedError

    def offer(self, data: bytes) -> bytes:
        """What of `data` the parser must read now: all of it and what was held, or nothing.

        To be called between two requests, and while one is held or taken.
        """
        if self._taken is not None:  # sent ahead
            self._taken.hand_over()
            return data
        was_held, data = bool(self._held), self._release() + data
        found = cut(data)
        self._cut = found and found[0]
        if found is None or not self._is_taken(data, *found, was_held):
            return data
        self._held = data
        return b""

    def _is_taken(self, data: bytes, head: bytes, start: int, length: int, was_held: bool) -> bool:
        """Whether the parser need not see this: it is on the short way, or will be when its body is whole."""
        known = self.shortcut and self.client and self.shortcut.known(self.client[0], head)
        if not known or length > BODY_BYTES or self.flow.write_paused:
            return False
        if len(data) != start + length:
            return len(data) < start + length and not was_held
        self._taken = known.take(data[start:], self)
        return self._taken is not None

    def give_up(self) -> None:
        """Let the parser read what was held, for its client may have no more time."""
        if self._taken is not None:
            self._taken.hand_over()
        elif self._held:
            self.feed(self._release())

    def answer(self, fields: bytes, body: bytes, *, keep_alive: bool) -> None:
        self._taken, self._held = None, b""
        fields = _fields_of_all(tuple(self.server_state.default_headers)) + fields
        self.transport.write(head_of(200, fields, keep_alive, len(body)) + body)
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def go_on(self, way: UsualWay) -> None:
        self._taken, self._way = None, way
        self.feed(self._release())

    def _release(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def connection_lost(self, exc: Exception | None) -> None:
        taken, self._taken = self._taken, None
        if taken is None:
            self.give_up()  # the application tells of it
        super().connection_lost(exc)
        if taken is not None:
            taken.gone()

    def shutdown(self) -> None:
        self.give_up()
        super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: Any = cycle.scope
        if self._way is not None:
            app, self._way = partial(self._way, app), None
        elif (
            self._cut and self.client and scope["http_version"] == "1.1" and is_sound(self._cut, self.headers)
        ):
            head = Head(self.client[0], self._cut, cycle.keep_alive)
            scope.setdefault("extensions", {})[EXTENSION] = head
        self._cut = None
        super()._start_asgi_task(cycle, app)


def head_seen(scope: Scope) -> Head | None:
    """The request's head, if it may be met again."""
    found: Head | None = scope.get("extensions", {}).get(EXTENSION)
    return found
