"""A way past ASGI for requests that came whole and can be answered without a task of their own."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol

from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from model_manager.http.outlet import Outlet, outlet_of

Start = Callable[[ASGIApp], None]
"""Answer the request by this application after all."""


class Shortcut(Protocol):
    """Who may take a request before the application `app` does."""

    def take(self, scope: Scope, body: bytes, outlet: Outlet, app: ASGIApp, start: Start) -> bool:
        """Whether the request was taken: its outlet is written to, now or later, or it is handed on by `start`.

        Must not wait.
        """


class ShortcutProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose POSTs are offered to a shortcut first.

    uvicorn starts a request's task at the end of its head, and the task runs when all that was read has been parsed.
    Until then a request is held here: if its body is whole by then, the shortcut has seen it.
    """

    shortcut: ClassVar[Shortcut | None] = None

    _held: tuple[RequestResponseCycle, ASGIApp] | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.shortcut is None or cycle.scope["method"] != "POST":
            super()._start_asgi_task(cycle, app)
            return
        self._held = cycle, app
        self.loop.call_soon(self._start_held, cycle)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is None or self.shortcut is None:
            return
        cycle, app = self._held
        scope: Any = cycle.scope
        outlet = outlet_of(scope)
        if cycle is not self.cycle or outlet is None:  # one of several that were sent ahead
            return
        if self.flow.write_paused:  # a client that does not read: its answers must wait, which needs a task
            return
        start = partial(self._start, cycle)
        if self.shortcut.take(scope, bytes(cycle.body), outlet, app, start):
            self._held = None

    def _start_held(self, cycle: RequestResponseCycle) -> None:
        if self._held is not None and self._held[0] is cycle:
            _, app = self._held
            self._held = None
            self._start(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, app)
