"""Noticing that a client left while its answer is made."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from model_manager.http.outlet import Outlet


class ClientPresence:
    """While it lasts, a client that leaves interrupts its block with ClientDisconnect, wherever that waits.

    Interrupting is cancelling, so whoever waits on a model server closes that connection on the way out.
    Enter it when the request's body has been read whole. An `outlet` tells who leaves by itself; without one, a task
    waits in `receive`.
    """

    def __init__(self, receive: Receive, outlet: Outlet | None = None) -> None:
        self._receive = receive
        self._outlet = outlet
        self._watcher: asyncio.Task[None] | None = None
        self._left = False
        self._over = False

    async def __aenter__(self) -> "ClientPresence":
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if self._outlet is None:
            self._watcher = asyncio.create_task(self._watch())
        elif self._outlet.gone:
            raise ClientDisconnect
        else:
            self._outlet.on_gone(self._interrupt)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # As asyncio.timeout does it: if somebody else cancels us too, theirs is the exception to tell.
        if self._left and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect from None

    def stop(self) -> None:
        """Stop looking: to be called before the last message, after which servers report a disconnect too."""
        self._over = True
        if self._watcher is not None:
            self._watcher.cancel()
        if self._outlet is not None:
            self._outlet.on_gone(None)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._interrupt()

    def _interrupt(self) -> None:
        if not self._over:
            self._over = self._left = True
            self._task.cancel()
