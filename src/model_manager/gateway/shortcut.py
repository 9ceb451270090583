"""The short way for a request whose head was seen before: one look-up instead of middleware, and no task.

What a client says in the head of a request is, but for the length of the body, what it said in the last one. So the
first takes the usual way through auth and `Passage`, and what they decided of its head is remembered. One with the same
head is sent to its model's server as soon as it is read. What then turns out to be less simple (a stream, an error, a
server that does not answer) goes on the usual way from where it is.
"""

import itertools
import os
import time
from collections.abc import Callable

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.errors import ModelManagerError
from model_manager.gateway.bodies import model_of, parse_fields, with_model
from model_manager.gateway.headers import Pairs, from_client, to_client, to_server
from model_manager.gateway.telling import Observe, Told
from model_manager.http import access_log
from model_manager.http.context import GONE
from model_manager.http.outlet import Outlet
from model_manager.http.shortcut import Start
from model_manager.relay import Relay, Response
from model_manager.serving.targets import Lease, Target, Targets
from model_manager.tokens import Identity

SHORT = 128 * 1024
"""Bytes of an answer that is waited for here. It must be less than the relay holds before it stops reading."""

HEADS = 512
"""Heads that are remembered; then all are forgotten, and learned again."""

HEAD_BYTES = 4096
"""Longer ones are not remembered."""

_NEVER = frozenset({b"expect", b"origin", b"x-request-id"})
"""Requests with these take the usual way: they are answered in a manner of their own, or no two of them are alike."""

_UNDER_WAY = "model_manager.under_way"

ObserveHTTP = Callable[[str, str, int, float], None]
"""(method, path, status, seconds), as the outermost middleware tells it."""

_this_process = os.urandom(12).hex()
_numbers = itertools.count()


class Known(Struct, frozen=True):
    """What was decided of a head: who asks, and which of its headers go on."""

    identity: Identity
    headers: Pairs

    def is_good(self, now: float) -> bool:
        """`now`: seconds since the epoch."""
        ends = self.identity.expires_at
        return not self.identity.ended.is_set() and (ends is None or now < ends)


class Shortcut:
    """Offered every POST that came whole (`http.shortcut`). Lives on the event loop's thread alone."""

    def __init__(
        self,
        targets: Targets,
        relay: Relay,
        *,
        observe: Observe | None = None,
        observe_http: ObserveHTTP | None = None,
        **timeouts: float,
    ) -> None:
        self._targets = targets
        self._relay = relay
        self._timeouts = timeouts
        self._known: dict[tuple[object, ...], Known] = {}
        self.observe = observe
        self.observe_http = observe_http

    def learn(self, scope: Scope) -> None:
        """Remember the head of a request that was let in, and whose body was what it should be."""
        headers, identity = scope["headers"], scope["state"].get("identity")
        size = sum(len(name) + len(value) for name, value in headers)
        if identity is None or size > HEAD_BYTES or not _NEVER.isdisjoint(name for name, _ in headers):
            return
        if len(self._known) >= HEADS:
            self._known.clear()
        self._known[_key(scope)] = Known(identity, from_client(headers))

    def take(self, scope: Scope, body: bytes, outlet: Outlet, app: ASGIApp, start: Start) -> bool:
        known, now = self._known.get(_key(scope)), time.time()
        if known is None or not known.is_good(now):
            return False
        known.identity.used_at = now
        try:
            fields = parse_fields(body)
            target = self._targets.find(model_of(fields), known.identity.models)
            request_id = f"{_this_process}{next(_numbers):08x}"
            response = self._relay.begin(
                "POST",
                target.url.rstrip("/") + scope["path"],
                headers=to_server(known.headers, target),
                unique_headers=((b"x-request-id", request_id.encode()),),
                body=with_model(fields, target.served_name),
                **self._timeouts,
            )
        except ModelManagerError:
            return False  # the usual way tells of it
        if response is None:
            return False
        scope["state"] |= {"request_id": request_id, "actor": known.identity.name}
        lease = self._targets.lease(target)
        UnderWay(self, scope, outlet, target, response, lease, known.identity, app, start)
        return True


class UnderWay:
    """A request that was sent without a task. It ends here, when its answer is short and good, or on the usual way."""

    def __init__(
        self,
        shortcut: Shortcut,
        scope: Scope,
        outlet: Outlet,
        target: Target,
        response: Response,
        lease: Lease,
        identity: Identity,
        app: ASGIApp,
        start: Start,
    ) -> None:
        self.target = target
        self.response = response
        self.told = Told(target.slot)
        self._shortcut = shortcut
        self._scope = scope
        self._outlet = outlet
        self._lease = lease
        self._identity = identity
        self._app = app
        self._start = start
        response.listen(self._on_news)
        outlet.on_gone(self._on_gone)
        identity.ended.callbacks.add(self._hand_over)

    def _on_news(self) -> None:
        response = self.response
        if not response.arrived:
            return
        if response.status != 200 or response.length is None or response.length > SHORT or response.failed:
            self._hand_over()
        elif response.is_whole:
            self._answer()

    def _on_gone(self) -> None:
        self._stop_listening()
        self.told.status = GONE
        self._end()

    def _answer(self) -> None:
        self._stop_listening()
        body, response = self.response.take(), self.response
        headers = to_client(response.headers, self.target)
        headers.append((b"x-request-id", self._scope["state"]["request_id"].encode()))
        self.told.first(response.status, body)
        self._outlet.begin(response.status, headers, len(body), body)
        self._outlet.end()
        self._end()

    def _end(self) -> None:
        self._close()
        shortcut, path = self._shortcut, self._scope["path"]
        status, seconds = self.told.status, time.perf_counter() - self.told.began
        access_log.tell(self._scope, status, seconds, seconds)
        if shortcut.observe_http is not None:
            shortcut.observe_http("POST", path, status, seconds)
        if shortcut.observe is not None:
            self.told.tell(shortcut.observe, path)

    def _hand_over(self) -> None:
        self._stop_listening()
        self._scope["extensions"][_UNDER_WAY] = self
        self._start(self._usual_way)

    async def _usual_way(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything is told there; only what was opened here is closed here, whoever answers."""
        try:
            await self._app(scope, receive, send)
        finally:
            self._close()

    def _stop_listening(self) -> None:
        self.response.listen(None)
        self._outlet.on_gone(None)
        self._identity.ended.callbacks.discard(self._hand_over)

    def _close(self) -> None:
        self.response.close()
        self._lease.end()


def under_way(scope: Scope) -> UnderWay | None:
    """What the shortcut began of this request."""
    found: UnderWay | None = scope.get("extensions", {}).get(_UNDER_WAY)
    return found


def _key(scope: Scope) -> tuple[object, ...]:
    """All that was looked at to let a request in, and all that goes on of its head."""
    client = scope["client"]
    fields = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
    return (scope["path"], client and client[0], *fields)
