"""Noticing that a client left, or lost its right to the answer, while that is made."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from model_manager.errors import ModelManagerError, Unauthorized
from model_manager.http.outlet import Outlet
from model_manager.tokens import Ended


class ClientPresence:
    """While it lasts, a client that leaves interrupts its block with ClientDisconnect, wherever that waits.

    Interrupting is cancelling, so whoever waits on a model server closes that connection on the way out.
    Enter it when the request's body has been read whole. An `outlet` tells who leaves by itself; without one, a task
    waits in `receive`. When `ended` is set, because the token was revoked or has expired, it raises Unauthorized.
    """

    def __init__(self, receive: Receive, outlet: Outlet | None = None, ended: Ended | None = None) -> None:
        self._receive = receive
        self._outlet = outlet
        self._watcher: asyncio.Task[None] | None = None
        self._ended = ended
        self._why: ClientDisconnect | ModelManagerError | None = None
        self._over = False

    async def __aenter__(self) -> "ClientPresence":
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if self._ended is not None and self._ended.is_set():
            raise _no_longer_valid()
        if self._outlet is None:
            self._watcher = asyncio.create_task(self._watch())
        elif self._outlet.gone:
            raise ClientDisconnect
        else:
            self._outlet.on_gone(self._leave)
        if self._ended is not None:
            self._ended.callbacks.add(self._end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # As asyncio.timeout does it: if somebody else cancels us too, theirs is the exception to tell.
        if self._why is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise self._why from None

    def stop(self) -> None:
        """Stop looking: to be called before the last message, after which servers report a disconnect too."""
        self._over = True
        if self._ended is not None:
            self._ended.callbacks.discard(self._end)
        if self._watcher is not None:
            self._watcher.cancel()
        if self._outlet is not None:
            self._outlet.on_gone(None)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._interrupt(ClientDisconnect())

    def _end(self) -> None:
        self._interrupt(_no_longer_valid())

    def _interrupt(self, why: ClientDisconnect | ModelManagerError) -> None:
        if not self._over:
            self._over, self._why = True, why
            self._task.cancel()


def _no_longer_valid() -> Unauthorized:
    return Unauthorized("The token was revoked or has expired before the answer ended.")
