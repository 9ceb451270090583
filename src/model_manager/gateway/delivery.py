"""How an answer reaches the client: past ASGI where our own HTTP protocol allows it, through `send` elsewhere."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Scope, Send

from model_manager.errors import UpstreamError
from model_manager.gateway.headers import Headers
from model_manager.http.outlet import Outlet, outlet_of
from model_manager.http.parsing import header
from model_manager.relay import Response

Sees = Callable[[bytes], object]
"""Is shown every piece that passes, and changes nothing."""


class SlowReader(Exception):
    """The client took nothing for too long."""


class Delivery(Protocol):
    """One answer on its way out. Whoever stops before `end` has it cut off, and no end is faked."""

    async def begin(self, status: int, headers: Headers, length: int | None, piece: bytes) -> None:
        """The head, with the body's first piece, once the client has read the answers before it.

        `length` of the whole body in bytes, None when nobody knows. May raise ClientDisconnect.
        """

    async def pour(self, response: Response, sees: Sees) -> None:
        """The rest of the body as it comes, as fast as the client reads. Raises UpstreamError and SlowReader."""

    async def write(self, piece: bytes) -> None:
        """One piece of our own."""

    async def end(self) -> None:
        """The body is whole."""


def delivery(scope: Scope, send: Send, patience: float) -> Delivery:
    """`patience`: seconds for which a client may leave what was sent unread."""
    outlet = outlet_of(scope)
    of_a_page = header(scope, b"origin") is not None  # what lets it read its answer (CORS) is added by `send`
    if outlet is None or of_a_page:
        return Sending(send, patience)
    return Straight(outlet, scope, patience)


class Straight:
    """From the model server's connection to the client's, without a task that wakes up for each piece."""

    def __init__(self, outlet: Outlet, scope: Scope, patience: float) -> None:
        self._outlet = outlet
        self._scope = scope
        self._patience = patience

    async def begin(self, status: int, headers: Headers, length: int | None, piece: bytes) -> None:
        # What the outermost middleware adds to answers that go through `send`.
        headers.append((b"x-request-id", self._scope["state"]["request_id"].encode("ascii")))
        await self._outlet.readable()
        if self._outlet.gone:
            raise ClientDisconnect
        self._outlet.begin(status, headers, length, piece)

    async def pour(self, response: Response, sees: Sees) -> None:
        outlet, loop = self._outlet, asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None
        late = False

        def pause() -> None:
            nonlocal timer
            response.hold()
            timer = loop.call_later(self._patience, cut)

        def resume() -> None:
            if timer is not None:
                timer.cancel()
            response.release()

        def cut() -> None:
            nonlocal late
            late = True
            response.close()

        def take(piece: bytes) -> None:
            sees(piece)
            outlet.write(piece)

        outlet.on_pressure(pause, resume)
        try:
            await response.pour(take)
        except UpstreamError as error:
            if not late:
                raise
            outlet.abort()  # what it did not read would keep the connection open
            raise SlowReader from error
        finally:
            if timer is not None:
                timer.cancel()

    async def write(self, piece: bytes) -> None:
        self._outlet.write(piece)

    async def end(self) -> None:
        self._outlet.end()


class Sending:
    """By ASGI alone: what every server offers."""

    def __init__(self, send: Send, patience: float) -> None:
        self._send = send
        self._patience = patience

    async def begin(self, status: int, headers: Headers, length: int | None, piece: bytes) -> None:
        if length is not None and status not in (204, 304):
            headers.append((b"content-length", b"%d" % length))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if piece:
            await self.write(piece)

    async def pour(self, response: Response, sees: Sees) -> None:
        async for piece in response:
            sees(piece)
            await self.write(piece)

    async def write(self, piece: bytes) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError as error:
            raise SlowReader from error

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
