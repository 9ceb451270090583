"""The way back: a model server's answer, passed on as it comes."""

import logging
from contextlib import suppress

from msgspec import Struct

from model_manager.errors import UpstreamError
from model_manager.gateway.delivery import Delivery, SlowReader
from model_manager.gateway.failures import (
    for_the_client,
    is_of_the_path,
    no_endpoint,
    refuse_what_is_not_for_the_client,
)
from model_manager.gateway.headers import to_client
from model_manager.gateway.presence import ClientPresence
from model_manager.gateway.shapes import Shape
from model_manager.gateway.telling import Told
from model_manager.http.context import GONE
from model_manager.relay import Response
from model_manager.serving.targets import Target

log = logging.getLogger(__name__)

WHOLE = 1 << 20
"""Bytes. An answer declared to be no longer is read before it is sent: if it breaks, nothing was said yet."""


class Answering(Struct):
    """What belongs to one answer. Raises ModelManagerError only before its first byte."""

    path: str
    shape: Shape
    target: Target
    response: Response
    presence: ClientPresence
    way: Delivery
    told: Told

    async def pass_on(self) -> None:
        """All of it. Who is cut off, or what breaks off, gets no end."""
        refuse_what_is_not_for_the_client(self.response.status, self.target)
        if self.response.length is not None and self.response.length <= WHOLE:
            await self._whole()
        else:
            await self._stream()

    async def _whole(self) -> None:
        response = self.response
        body = await response.read(WHOLE)
        if response.status == 404 and not response.header(b"content-encoding") and is_of_the_path(body):
            raise no_endpoint(self.path, self.target)
        self.told.first(response.status, body)
        self.presence.stop()
        await self.way.begin(response.status, to_client(response.headers, self.target.key), len(body), body)
        await self.way.end()

    async def _stream(self) -> None:
        """Pass each piece when it comes. The head waits for the first: a death before it still has a status."""
        response, headers = self.response, to_client(self.response.headers, self.target.key)
        events = (response.header(b"content-type") or b"").lower().startswith(b"text/event-stream")
        if events:
            headers.append((b"x-accel-buffering", b"no"))  # nginx would collect the events otherwise
        piece = await anext(response, b"")
        self.told.first(response.status, piece)
        try:
            await self.way.begin(response.status, headers, response.length, piece)
            await self.way.pour(response, self.told.pieces.append)
        except UpstreamError as error:
            log.warning("%s: cut off, %s", self.path, error.sentence)
            self.told.status = error.status
            if events and response.header(b"content-encoding") is None:
                with suppress(SlowReader):
                    await self.way.write(self.shape.event(for_the_client(error, self.target.slot)))
            return  # without an end: the HTTP server closes the connection, and none is faked
        except SlowReader:
            log.info("%s: the client took nothing for too long and was cut off", self.path)
            self.told.status = GONE
            return
        self.presence.stop()
        await self.way.end()
