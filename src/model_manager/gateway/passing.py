"""One request through the gateway: read, find its model server, ask it, pass the answer on."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from model_manager.errors import ModelManagerError
from model_manager.gateway.answering import Answering
from model_manager.gateway.bodies import MAX_BODY, Fields, model_of, parse_fields, with_model
from model_manager.gateway.delivery import delivery
from model_manager.gateway.failures import for_the_client
from model_manager.gateway.headers import from_client, to_server
from model_manager.gateway.permission import ended_of, only_of
from model_manager.gateway.presence import ClientPresence
from model_manager.gateway.room import Room
from model_manager.gateway.shapes import shape_of
from model_manager.gateway.shortcut import Shortcut, UnderWay, under_way
from model_manager.gateway.telling import Observe, Told
from model_manager.http.context import GONE
from model_manager.http.outlet import outlet_of
from model_manager.http.parsing import check_json_type, header, read_body
from model_manager.relay import Relay, Response
from model_manager.serving.targets import Target, Targets

log = logging.getLogger(__name__)

SLOW_READER_TIMEOUT = 60.0
"""Seconds a client may take to accept a piece of a stream; a generation is not held up for longer."""


class Passage:
    """An ASGI endpoint that passes POSTs on to `path` of the model's server.

    Nothing is sent twice to a model server, and a broken answer never looks like a complete one: before its
    first byte the client gets a status, after it an error event (streams) and a connection cut short.
    All of a service share one `room`; `shortcut` learns what it may take next time. Timeouts in seconds; None
    for the relay's own.
    """

    def __init__(
        self,
        path: str,
        targets: Targets,
        relay: Relay,
        *,
        observe: Observe | None = None,
        shortcut: Shortcut | None = None,
        room: Room | None = None,
        slow_reader_timeout: float = SLOW_READER_TIMEOUT,
        **timeouts: float,
    ) -> None:
        self._path = path
        self._shape = shape_of(path)
        self._targets = targets
        self._relay = relay
        self._observe = observe
        self._shortcut = shortcut
        self._room = room or Room()
        self._slow_reader_timeout = slow_reader_timeout
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = under_way(scope)
        told = Told() if begun is None else begun.told
        try:
            if begun is None:
                check_json_type(header(scope, b"content-type"))
                with self._room.counting(receive) as counted:
                    fields = parse_fields(await read_body(scope, counted, MAX_BODY))
                    async with ClientPresence(receive, outlet_of(scope), ended_of(scope)) as presence:
                        await self._begin(scope, fields, presence, told, send)
            else:
                async with ClientPresence(receive, outlet_of(scope), ended_of(scope)) as presence:
                    await self._go_on(scope, begun, presence, send)
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
                told.tell(self._observe, self._path)

    async def _begin(
        self, scope: Scope, fields: Fields, presence: ClientPresence, told: Told, send: Send
    ) -> None:
        # Nothing is awaited between these two: whoever switches models sees the lease or was waited for.
        target = await self._targets.wait_for(model_of(fields), only_of(scope))
        with self._targets.lease(target):
            told.slot = target.slot
            if self._shortcut is not None:
                self._shortcut.learn(scope)
            response = await self._relay.request(
                "POST",
                target.url.rstrip("/") + self._path,
                headers=to_server(from_client(scope["headers"]), target),
                unique_headers=_ids(scope),
                body=with_model(fields, target.served_name),
                **self._timeouts,
            )
            async with response:
                await self._answering(scope, target, response, presence, told, send).pass_on()

    async def _go_on(self, scope: Scope, begun: UnderWay, presence: ClientPresence, send: Send) -> None:
        """With what the shortcut began; it also ends that."""
        await begun.response.wait_for_head()
        await self._answering(scope, begun.target, begun.response, presence, begun.told, send).pass_on()

    def _answering(
        self,
        scope: Scope,
        target: Target,
        response: Response,
        presence: ClientPresence,
        told: Told,
        send: Send,
    ) -> Answering:
        way = delivery(scope, send, self._slow_reader_timeout)
        return Answering(self._path, self._shape, target, response, presence, way, told)


def _ids(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What differs from request to request."""
    request_id: str = scope.get("state", {}).get("request_id", "")
    return [(b"x-request-id", request_id.encode("ascii", "replace"))] if request_id else []
