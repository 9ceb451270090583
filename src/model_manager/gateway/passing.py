"""One request through the gateway: read, find its model server, pass the answer on as it comes."""

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from model_manager.errors import ModelManagerError, UpstreamError
from model_manager.gateway.bodies import MAX_BODY, model_of, parse_fields, with_model
from model_manager.gateway.delivery import Delivery, SlowReader, delivery
from model_manager.gateway.failures import (
    for_the_client,
    is_of_the_path,
    no_endpoint,
    refuse_what_is_not_for_the_client,
)
from model_manager.gateway.headers import Headers, to_client, to_server
from model_manager.gateway.permission import ended_of, only_of
from model_manager.gateway.presence import ClientPresence
from model_manager.gateway.shapes import shape_of
from model_manager.gateway.usage import TAIL, usage_of
from model_manager.http.context import GONE
from model_manager.http.outlet import outlet_of
from model_manager.http.parsing import check_json_type, header, read_body
from model_manager.relay import Relay, Response
from model_manager.serving.targets import Target, Targets

log = logging.getLogger(__name__)

WHOLE = 1 << 20
"""Bytes. An answer declared to be no longer is read before it is sent: if it breaks, nothing was said yet."""

Observe = Callable[[str, str, int, float, float | None, int | None, int | None], None]
"""(slot or "", path, status, seconds, seconds to the body's first byte, tokens read, tokens written), once per request.

The status of a stream that broke is that of its error, which its client can only read in the stream.
"""

SLOW_READER_TIMEOUT = 60.0
"""Seconds a client may take to accept a piece of a stream; a generation is not held up for longer."""


class Passage:
    """An ASGI endpoint that passes POSTs on to `path` of the model's server.

    Nothing is sent twice to a model server, and a broken answer never looks like a complete one: before its
    first byte the client gets a status, after it an error event (streams) and a connection cut short.
    Timeouts in seconds; None for the relay's own.
    """

    def __init__(
        self,
        path: str,
        targets: Targets,
        relay: Relay,
        *,
        observe: Observe | None = None,
        slow_reader_timeout: float = SLOW_READER_TIMEOUT,
        **timeouts: float,
    ) -> None:
        self._path = path
        self._shape = shape_of(path)
        self._targets = targets
        self._relay = relay
        self._observe = observe
        self._slow_reader_timeout = slow_reader_timeout
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = _Told()
        try:
            check_json_type(header(scope, b"content-type"))
            fields = parse_fields(await read_body(scope, receive, MAX_BODY))
            async with ClientPresence(receive, outlet_of(scope), ended_of(scope)) as presence:
                # Nothing is awaited between these two: whoever switches models sees the lease or was waited for.
                target = await self._targets.wait_for(model_of(fields), only_of(scope))
                with self._targets.lease(target):
                    told.slot = target.slot
                    body = with_model(fields, target.served_name)
                    del fields
                    way = delivery(scope, send, self._slow_reader_timeout)
                    await self._pass(scope, body, target, presence, way, told)
        except ClientDisconnect:
            log.info("499: the client left %s before its answer ended", self._path)
            told.status = GONE
            raise
        except ModelManagerError as error:
            if error.status >= 500:
                log.warning("%s: %d, %s", self._path, error.status, error.sentence)
            told.status = error.status
            if not told.begun:  # else its token ended in the middle of it, and it is cut off
                await self._shape.response(for_the_client(error, told.slot))(scope, receive, send)
        finally:
            if self._observe is not None:
                self._observe(told.slot, self._path, *told.numbers())

    async def _pass(
        self,
        scope: Scope,
        body: bytes,
        target: Target,
        presence: ClientPresence,
        way: Delivery,
        told: "_Told",
    ) -> None:
        response = await self._relay.request(
            "POST",
            target.url.rstrip("/") + self._path,
            headers=to_server(scope["headers"], target),
            unique_headers=_ids(scope),
            body=body,
            **self._timeouts,
        )
        async with response:
            refuse_what_is_not_for_the_client(response.status, target)
            headers = to_client(response.headers, target)
            if response.length is not None and response.length <= WHOLE:
                await self._send_whole(response, headers, target, presence, way, told)
            else:
                await self._stream(response, headers, presence, way, told)

    async def _send_whole(
        self,
        response: Response,
        headers: Headers,
        target: Target,
        presence: ClientPresence,
        way: Delivery,
        told: "_Told",
    ) -> None:
        body = await response.read(WHOLE)
        if response.status == 404 and not response.header(b"content-encoding") and is_of_the_path(body):
            raise no_endpoint(self._path, target)
        told.first(response.status, body)
        presence.stop()
        await way.begin(response.status, headers, len(body), body)
        await way.end()

    async def _stream(
        self, response: Response, headers: Headers, presence: ClientPresence, way: Delivery, told: "_Told"
    ) -> None:
        """Pass each piece when it comes. The head waits for the first: a death before it still has a status."""
        events = (response.header(b"content-type") or b"").lower().startswith(b"text/event-stream")
        if events:
            headers.append((b"x-accel-buffering", b"no"))  # nginx would collect the events otherwise
        piece = await anext(response, b"")
        told.first(response.status, piece)
        try:
            await way.begin(response.status, headers, response.length, piece)
            await way.pour(response, told.pieces.append)
        except UpstreamError as error:
            log.warning("%s: cut off, %s", self._path, error.sentence)
            told.status = error.status
            if events and response.header(b"content-encoding") is None:
                with suppress(SlowReader):
                    await way.write(self._shape.event(for_the_client(error, told.slot)))
            return  # without an end: the HTTP server closes the connection, and none is faked
        except SlowReader:
            log.info("%s: the client took nothing for too long and was cut off", self._path)
            told.status = GONE
            return
        presence.stop()
        await way.end()


class _Told:
    """What is told of a request when it is over."""

    def __init__(self) -> None:
        self.slot = ""
        self.status = 500
        self.begun = False
        self.pieces: deque[bytes] = deque(maxlen=8)  # the last ones, for the usage in them
        self._began = time.perf_counter()
        self._first_byte: float | None = None

    def first(self, status: int, piece: bytes) -> None:
        """The answer begins, with this piece of its body if it has one."""
        self.status, self.begun = status, True
        if piece:
            self._first_byte = time.perf_counter() - self._began
            self.pieces.append(piece)

    def numbers(self) -> tuple[int, float, float | None, int | None, int | None]:
        tail = b"".join([piece[-TAIL:] for piece in self.pieces])[-TAIL:]
        return (self.status, time.perf_counter() - self._began, self._first_byte, *usage_of(tail))


def _ids(scope: Scope) -> Headers:
    """What differs from request to request."""
    request_id: str = scope.get("state", {}).get("request_id", "")
    return [(b"x-request-id", request_id.encode("ascii", "replace"))] if request_id else []
