"""Noticing that a client left while its answer is made."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Receive


class ClientPresence:
    """While it lasts, a client that leaves interrupts its block with ClientDisconnect, wherever that waits.

    Interrupting is cancelling, so whoever waits on a model server closes that connection on the way out.
    Enter it when the request's body has been read whole.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._over = False

    async def __aenter__(self) -> "ClientPresence":
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.create_task(self._watch())
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
        self._watcher.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over:
            self._left = True
            self._task.cancel()
