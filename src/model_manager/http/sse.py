"""Server-sent events: messages out, heartbeats between them, an end when anyone wants one.

A stream ends when its source ends, when the client leaves, when what it was let in by is revoked and when the service
stops: `closing` of the application is set then, because an HTTP server waits for its streams. A client that reads
nothing any more is cut off by the protocol, and counts as one that left.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from model_manager.http.outlet import outlet_of

HEARTBEAT = 15.0
"""Seconds between comments on a silent stream; proxies take longer silence for death."""

GOODBYE = 1.0
"""Seconds in which a client may accept the end of its stream."""

RETRY = 2000
"""Milliseconds after which a browser comes back."""

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx and its kin would hold events back
}


@dataclass(slots=True)
class Message:
    """One server-sent event. `id` is what a client resumes from; `event` its type (None: plain "message").

    A message with an id and without data only moves the place to resume from. It may go to many streams: it is
    encoded once.
    """

    data: Any = None
    id: int | None = None
    event: str | None = None
    _encoded: bytes = field(default=b"", init=False, repr=False, compare=False)

    def encode(self) -> bytes:
        if not self._encoded:
            self._encoded = b"".join(self._lines()) + b"\n"
        return self._encoded

    def _lines(self) -> Iterator[bytes]:
        if self.id is not None:
            yield b"id: %d\n" % self.id
        if self.event is not None:
            yield b"event: %b\n" % self.event.encode()
        if self.data is not None:
            yield b"data: %b\n" % msgspec.json.encode(self.data)  # JSON has no raw line breaks


class EventStream(Response):
    """A response that sends messages as they come, by one task; another one listens for the client's leaving."""

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncGenerator[Message, None], *, heartbeat: float = HEARTBEAT) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._messages = messages
        self._heartbeat = heartbeat
        self._is_silent = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            if scope["method"] != "HEAD":
                await self._stream(scope, receive, send)
        finally:
            await self._messages.aclose()
        await self._end(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the source ends, the client leaves or somebody else ends it."""
        sending, gone = asyncio.create_task(self._send_all(send)), asyncio.create_task(_gone(receive))
        over = asyncio.get_running_loop().create_future()

        def end(_: object) -> None:
            if not over.done():
                over.set_result(None)

        enders = (sending, gone, *_enders(scope))
        for task in enders:
            task.add_done_callback(end)
        try:
            await self._beat_until(over, send)
        finally:
            for task in enders:
                task.remove_done_callback(end)
            sending.cancel()
            gone.cancel()
            await asyncio.wait({sending})  # only then may the source be closed
        if not sending.cancelled():
            sending.result()

    async def _end(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say that it was whole; whoever does not read is not waited for."""
        try:
            async with asyncio.timeout(GOODBYE):
                await send(_piece(b"", more=False))
        except TimeoutError:
            if (outlet := outlet_of(scope)) is not None:
                outlet.abort()
                await _gone(receive)

    async def _send_all(self, send: Send) -> None:
        await send(_piece(b"retry: %d\n\n" % RETRY))
        async for message in self._messages:
            self._is_silent = False
            await send(_piece(message.encode()))

    async def _beat_until(self, over: asyncio.Future[None], send: Send) -> None:
        beat: asyncio.Future[None] | None = None
        while not over.done():
            await asyncio.wait({over}, timeout=self._heartbeat)
            if self._is_silent and not over.done() and (beat is None or beat.done()):
                beat = asyncio.ensure_future(send(_piece(b":\n\n")))  # it may have to wait for a slow reader
            self._is_silent = True
        if beat is not None:
            beat.cancel()


def _piece(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


_waiting: WeakKeyDictionary[asyncio.Event, asyncio.Task[Any]] = WeakKeyDictionary()


def _enders(scope: Scope) -> Iterator[asyncio.Task[Any]]:
    """Tasks that end when streams have to: one for each event, however many streams there are."""
    identity = scope["state"].get("identity")
    for event in (scope["state"].get("closing"), identity and identity.ended):
        if event is not None:
            if (task := _waiting.get(event)) is None or task.done():
                task = _waiting[event] = asyncio.create_task(event.wait())
            yield task
