"""Server-sent events: messages out, heartbeats between them, an end when anyone wants one.

A stream ends when its source ends, when the client leaves or reads nothing for `stall` seconds, when its token is
revoked or expires, and when the service stops: `closing` of the application is set then, because an HTTP server
waits for its streams.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEARTBEAT = 15.0
"""Seconds between comments on a silent stream; proxies take longer silence for death."""

STALL = 60.0
"""Seconds that a client may leave what was sent unread."""

RETRY = 2000
"""Milliseconds after which a browser comes back."""

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx and its kin would hold events back
}


class Message(NamedTuple):
    """One server-sent event. `id` is what a client resumes from; `event` its type (None: plain "message").

    A message with an id and without data only moves the place to resume from.
    """

    data: Any = None
    id: int | None = None
    event: str | None = None

    def encode(self) -> bytes:
        lines = []
        if self.id is not None:
            lines.append(f"id: {self.id}\n".encode())
        if self.event is not None:
            lines.append(f"event: {self.event}\n".encode())
        if self.data is not None:
            lines.append(b"data: " + msgspec.json.encode(self.data) + b"\n")  # JSON has no raw line breaks
        return b"".join(lines) + b"\n"


class EventStream(Response):
    """A response that sends messages as they come."""

    media_type = "text/event-stream"

    def __init__(
        self, messages: AsyncGenerator[Message, None], *, heartbeat: float = HEARTBEAT, stall: float = STALL
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._messages = messages
        self._heartbeat = heartbeat
        self._stall = stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        leaving: set[asyncio.Task[Any]] = {asyncio.create_task(_gone(receive))}
        if (closing := scope["state"].get("closing")) is not None:
            leaving.add(asyncio.create_task(closing.wait()))
        if (identity := scope["state"].get("identity")) is not None:
            leaving.add(asyncio.create_task(identity.ended.wait()))
        try:
            if scope["method"] != "HEAD":
                await self._pump(send, leaving)
        finally:
            for task in leaving:
                task.cancel()
            await self._messages.aclose()
        # Whoever stopped reading is not waited for a second time.
        await _within(send({"type": "http.response.body", "body": b"", "more_body": False}), set(), 1.0)

    async def _pump(self, send: Send, leaving: set[asyncio.Task[Any]]) -> None:
        """Send until the source ends, one of `leaving` is done or the client stalls."""

        async def put(data: bytes) -> bool:
            sending = send({"type": "http.response.body", "body": data, "more_body": True})
            return await _within(sending, leaving, self._stall)

        upcoming = asyncio.create_task(_next(self._messages))
        going = await put(f"retry: {RETRY}\n\n".encode())
        try:
            while going:
                awaited = {upcoming, *leaving}
                await asyncio.wait(awaited, timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED)
                if any(task.done() for task in leaving):
                    return
                if not upcoming.done():
                    going = await put(b":\n\n")
                    continue
                message = upcoming.result()
                if message is None:
                    return
                upcoming = asyncio.create_task(_next(self._messages))
                going = await put(message.encode())
        finally:
            upcoming.cancel()
            await asyncio.wait({upcoming})  # only then may the source be closed


async def _next(messages: AsyncGenerator[Message, None]) -> Message | None:
    try:
        return await anext(messages)
    except StopAsyncIteration:
        return None


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _within(work: Awaitable[None], leaving: set[asyncio.Task[Any]], seconds: float) -> bool:
    """Whether `work` got done before the time was over or one of `leaving` was done; else it is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, *leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        return False
    task.result()
    return True
