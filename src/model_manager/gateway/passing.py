"""One request through the gateway: read, find its model server, pass the answer on as it comes."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from model_manager.errors import ModelManagerError, UpstreamError
from model_manager.gateway.bodies import MAX_BODY, model_of, parse_fields, with_model
from model_manager.gateway.headers import Headers, to_client, to_server
from model_manager.gateway.missing import is_of_the_path, no_endpoint
from model_manager.gateway.permission import only_of
from model_manager.gateway.presence import ClientPresence
from model_manager.gateway.shapes import shape_of
from model_manager.http.parsing import check_json_type, header, read_body
from model_manager.relay import Relay, Response
from model_manager.serving.targets import Target, Targets

log = logging.getLogger(__name__)

WHOLE = 1 << 20
"""Bytes. An answer declared to be no longer is read before it is sent: if it breaks, nothing was said yet."""

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
        slow_reader_timeout: float = SLOW_READER_TIMEOUT,
        **timeouts: float,
    ) -> None:
        self._path = path
        self._shape = shape_of(path)
        self._targets = targets
        self._relay = relay
        self._slow_reader_timeout = slow_reader_timeout
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_json_type(header(scope, b"content-type"))
            fields = parse_fields(await read_body(scope, receive, MAX_BODY))
            async with ClientPresence(receive) as presence:
                # Nothing is awaited between these two: whoever switches models sees the lease or was waited for.
                target = await self._targets.wait_for(model_of(fields), only_of(scope))
                with self._targets.lease(target):
                    body = with_model(fields, target.served_name)
                    del fields
                    await self._pass(scope, body, target, presence, send)
        except ClientDisconnect:
            log.info("499: the client left %s before its answer ended", self._path)
            raise
        except ModelManagerError as error:  # only ever before the answer began
            if error.status >= 500:
                log.warning("%s: %d, %s", self._path, error.status, error.sentence)
            await self._shape.response(error)(scope, receive, send)

    async def _pass(
        self, scope: Scope, body: bytes, target: Target, presence: ClientPresence, send: Send
    ) -> None:
        request_id = scope.get("state", {}).get("request_id", "")
        response = await self._relay.request(
            "POST",
            target.url.rstrip("/") + self._path,
            headers=to_server(scope["headers"], target, request_id),
            body=body,
            **self._timeouts,
        )
        async with response:
            _refuse_what_is_not_for_the_client(response, target)
            headers = to_client(response.headers, target)
            if response.length is not None and response.length <= WHOLE:
                await self._send_whole(response, headers, target, presence, send)
            else:
                await self._stream(response, headers, presence, send)

    async def _send_whole(
        self, response: Response, headers: Headers, target: Target, presence: ClientPresence, send: Send
    ) -> None:
        body = await response.read(WHOLE)
        if response.status == 404 and not response.header(b"content-encoding") and is_of_the_path(body):
            raise no_endpoint(self._path, target)
        if response.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(body)))
        presence.stop()
        await send(_start(response.status, headers))
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _stream(
        self, response: Response, headers: Headers, presence: ClientPresence, send: Send
    ) -> None:
        """Pass each piece when it comes. The head waits for the first: a death before it still has a status."""
        events = (response.header(b"content-type") or b"").lower().startswith(b"text/event-stream")
        if events:
            headers.append((b"x-accel-buffering", b"no"))  # nginx would collect the events otherwise
        elif response.length is not None:
            headers.append((b"content-length", b"%d" % response.length))
        begun = False
        try:
            async for chunk in response:
                if not begun:
                    await send(_start(response.status, headers))
                    begun = True
                await self._send_piece(chunk, send)
        except UpstreamError as error:
            if not begun:
                raise
            log.warning("%s: cut off, %s", self._path, error.sentence)
            if events and response.header(b"content-encoding") is None:
                with suppress(_SlowReader):
                    await self._send_piece(self._shape.event(error), send)
            return  # without a last message: the HTTP server closes the connection and no end is faked
        except _SlowReader:
            log.info("%s: the client took nothing for too long and was cut off", self._path)
            return
        presence.stop()
        if not begun:
            await send(_start(response.status, headers))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_piece(self, piece: bytes, send: Send) -> None:
        """Waits while the client is slow, and with us, through back-pressure, the model server."""
        try:
            async with asyncio.timeout(self._slow_reader_timeout):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError as error:
            raise _SlowReader from error


class _SlowReader(Exception):
    pass


def _refuse_what_is_not_for_the_client(response: Response, target: Target) -> None:
    """A redirect would lead the client (or us) astray, and a refused key is ours, not the client's."""
    status = response.status
    if 300 <= status < 400:
        raise UpstreamError(
            f"The model server of slot {target.slot} redirects (status {status}), which is not followed."
        )
    if status in (401, 403, 407):
        raise UpstreamError(
            f"The model server of slot {target.slot} refuses our key (status {status}).",
            "Activate the model again: a server started anew gets a new key.",
        )


def _start(status: int, headers: Headers) -> Message:
    message: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    return message
