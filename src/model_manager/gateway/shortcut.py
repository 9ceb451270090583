"""The short way for a request whose head was seen before: one look-up instead of parser and middleware, and no task.

What a client says in the head of a request is, but for the length of the body, what it said in the last one. So the
first takes the usual way through auth and `Passage`, and what they decided of its head is remembered. One with the same
head is sent to its model's server as soon as it is read. What then turns out to be less simple (a stream, an error, a
server that does not answer) goes on the usual way from where it is.
"""

import itertools
import os
import time
from collections.abc import Callable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.errors import ModelManagerError
from model_manager.gateway.bodies import model_of, parse_fields, with_model
from model_manager.gateway.headers import from_client, to_client, to_server
from model_manager.gateway.telling import Observe, Told
from model_manager.gateway.usage import TAIL, usage_of
from model_manager.http import access_log
from model_manager.http.context import GONE
from model_manager.http.outlet import fields_of
from model_manager.http.shortcut import Client, Head, head_seen
from model_manager.relay import Prepared, Relay, Response, prepare
from model_manager.serving.targets import Lease, Target, Targets
from model_manager.tokens import Identity

SHORT = 128 * 1024
"""Bytes of an answer that is waited for here. It must be less than the relay holds before it stops reading."""

HEADS = 512
"""Heads that are remembered; then all are forgotten, and learned again."""

_NEVER = frozenset({b"origin", b"x-request-id"})
"""Requests with these take the usual way: they are answered in a manner of their own, or no two of them are alike."""

_UNDER_WAY = "model_manager.under_way"

ObserveHTTP = Callable[[str, str, int, float], None]
"""(method, path, status, seconds), as the outermost middleware tells it."""

_this_process = os.urandom(12).hex().encode()
_numbers = itertools.count()


class Shortcut:
    """Offered every request that might be known (`http.shortcut`). Lives on the event loop's thread alone."""

    def __init__(
        self,
        targets: Targets,
        relay: Relay,
        *,
        observe: Observe | None = None,
        observe_http: ObserveHTTP | None = None,
        **timeouts: float,
    ) -> None:
        self.targets = targets
        self.relay = relay
        self.timeouts = timeouts
        self.observe = observe
        self.observe_http = observe_http
        self._known: dict[tuple[str, bytes], Known] = {}

    def known(self, host: str, data: bytes) -> "Known | None":
        return self._known.get((host, data))

    def learn(self, scope: Scope) -> None:
        """Remember the head of a request that was let in, and whose body was what it should be."""
        head, identity = head_seen(scope), scope["state"].get("identity")
        if head is None or identity is None or not _NEVER.isdisjoint(name for name, _ in scope["headers"]):
            return
        if len(self._known) >= HEADS:
            self._known.clear()
        self._known[head.host, head.data] = Known(self, head, scope, identity)


class Known:
    """What was decided of a head: who asks for what, and what of it goes on."""

    __slots__ = ("_headers", "_prepared", "_shortcut", "identity", "keep_alive", "path")

    def __init__(self, shortcut: Shortcut, head: Head, scope: Scope, identity: Identity) -> None:
        self.path: str = scope["path"]
        self.keep_alive = head.keep_alive
        self.identity = identity
        self._shortcut = shortcut
        self._headers = from_client(scope["headers"])
        self._prepared: dict[str, tuple[Target, Prepared]] = {}  # by slot

    def take(self, body: bytes, client: Client) -> "UnderWay | None":
        identity, shortcut, now = self.identity, self._shortcut, time.time()
        if identity.ended.is_set() or (identity.expires_at is not None and now >= identity.expires_at):
            return None
        identity.used_at = now
        request_id = b"%b%08x" % (_this_process, next(_numbers))
        try:
            fields = parse_fields(body)
            target = shortcut.targets.find(model_of(fields), identity.models)
            response = shortcut.relay.begin(
                self._prepare(target),
                b"x-request-id: %b\r\n" % request_id,
                with_model(fields, target.served_name),
                **shortcut.timeouts,
            )
        except ModelManagerError:
            return None  # the usual way tells of it
        if response is None:
            return None
        lease = shortcut.targets.lease(target)
        return UnderWay(shortcut, self, client, request_id, target, response, lease)

    def _prepare(self, target: Target) -> Prepared:
        found = self._prepared.get(target.slot)
        if found is None or found[0] is not target:
            url = target.url.rstrip("/") + self.path
            found = target, prepare(url, to_server(self._headers, target))
            self._prepared[target.slot] = found
        return found[1]


class UnderWay:
    """A request that was sent without a task. It ends here, when its answer is short and good, or on the usual way."""

    __slots__ = (
        "_began", "_client", "_known", "_lease", "_request_id", "_shortcut", "response", "target", "told"
    )  # fmt: skip

    told: Told
    """Only on the usual way."""

    def __init__(
        self,
        shortcut: Shortcut,
        known: Known,
        client: Client,
        request_id: bytes,
        target: Target,
        response: Response,
        lease: Lease,
    ) -> None:
        self.target = target
        self.response = response
        self._shortcut = shortcut
        self._known = known
        self._client = client
        self._request_id = request_id
        self._lease = lease
        self._began = time.perf_counter()
        response.listen(self._on_news)
        known.identity.ended.callbacks.add(self.hand_over)

    def _on_news(self) -> None:
        response = self.response
        if not response.arrived:
            return
        if response.status != 200 or response.length is None or response.length > SHORT or response.failed:
            self.hand_over()
        elif response.is_whole:
            self._answer()

    def _answer(self) -> None:
        self._stop_listening()
        response = self.response
        body = response.take()
        headers = tuple([pair for pair in response.headers if pair[0] != b"content-length"])
        fields = _fields(headers, self.target.key)
        fields = b"%bx-request-id: %b\r\n" % (fields, self._request_id)
        seconds = time.perf_counter() - self._began
        self._client.answer(fields, body, keep_alive=self._known.keep_alive)
        self._tell(200, seconds, *usage_of(body[-TAIL:]))

    def gone(self) -> None:
        self._stop_listening()
        self._tell(GONE, None)

    def _tell(self, status: int, first_byte: float | None, *tokens: int | None) -> None:
        """It is over."""
        self._close()
        shortcut, path, seconds = self._shortcut, self._known.path, time.perf_counter() - self._began
        access_log.write("POST", path, self._known.identity.name, status, seconds)
        if shortcut.observe_http is not None:
            shortcut.observe_http("POST", path, status, seconds)
        if shortcut.observe is not None:
            shortcut.observe(self.target.slot, path, status, seconds, first_byte, *(tokens or (None, None)))

    def hand_over(self) -> None:
        self._stop_listening()
        self.told = Told(self.target.slot, self._began)
        self._client.go_on(self._usual_way)

    async def _usual_way(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything is told there; only what was opened here is closed here, whoever answers."""
        scope["extensions"][_UNDER_WAY] = self
        scope["state"]["request_id"] = self._request_id.decode()
        try:
            await app(scope, receive, send)
        finally:
            self._close()

    def _stop_listening(self) -> None:
        self.response.listen(None)
        self._known.identity.ended.callbacks.discard(self.hand_over)

    def _close(self) -> None:
        self.response.close()
        self._lease.end()


def under_way(scope: Scope) -> UnderWay | None:
    """What the shortcut began of this request."""
    found: UnderWay | None = scope.get("extensions", {}).get(_UNDER_WAY)
    return found


@lru_cache(maxsize=64)
def _fields(headers: tuple[tuple[bytes, bytes], ...], key: str | None) -> bytes:
    """What a client gets of a server's headers, which differ from answer to answer by their time at most."""
    return fields_of(to_client(headers, key))
