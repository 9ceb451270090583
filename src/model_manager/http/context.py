"""The outermost middleware: gives each request an id, turns errors into problems, tells what was answered."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_manager import logs
from model_manager.errors import ModelManagerError, NotFound
from model_manager.http import access_log
from model_manager.http.outlet import outlet_of
from model_manager.http.parsing import header
from model_manager.http.problems import InternalError, problem_response

log = logging.getLogger(__name__)

Observe = Callable[[str, str | None, int, float], None]
"""(method, template of the route or None when no route matched, status, seconds), once per answered request."""

Respond = Callable[[ModelManagerError, str, str], Response]
"""(error, path, request id) -> how it is told."""

GONE = 499
"""The status told of requests whose client left before it was answered; nginx's word for it."""

_GOOD_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class Context:
    """ASGI middleware around everything else. `closing` is handed to streams, which end when it is set."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        closing: asyncio.Event,
        observe: Observe | None = None,
        respond: Respond = problem_response,
    ) -> None:
        self._app = app
        self._respond = respond
        self._closing = closing
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["closing"] = self._closing
        state["request_id"] = request_id = state.get("request_id") or _request_id(scope)
        # For this request's task alone: the server gives each its own context.
        logs.request_id.set(request_id)
        started = time.perf_counter()
        status, began = 0, 0.0

        async def sending(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                status, began = message["status"], time.perf_counter()
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            if not scope["path"].isprintable():  # Starlette's patterns end in `$`, which lets a line end pass
                raise NotFound(f"There is nothing at {scope['path'][:200]!r}.")
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            pass
        except Exception as error:
            told, status = error, status or _status_past_send(scope)
            if not isinstance(told, ModelManagerError) or status:
                log.exception("request %s: %s %r failed", request_id, scope["method"], scope["path"])
                told = InternalError(request_id)
            # A response that has begun cannot take its status back: it is cut off instead.
            if not status:
                await self._respond(told, quote(scope["path"][:200]), request_id)(scope, receive, sending)
        finally:
            ended = time.perf_counter()
            state["status"] = status = status or _status_past_send(scope) or GONE
            access_log.tell(scope, status, (began or ended) - started, ended - started)
            if self._observe is not None:
                route = getattr(scope.get("route"), "path", None)
                # `{name:path}` is for the router; people and queries know the parameter as `{name}`.
                route = route and route.replace(":path}", "}")
                self._observe(scope["method"], route, status, ended - started)


def _status_past_send(scope: Scope) -> int:
    """Of an answer that did not come through `send`; 0 where there is none."""
    outlet = outlet_of(scope)
    return 0 if outlet is None else outlet.status


def _request_id(scope: Scope) -> str:
    """The client's own id when it is harmless to print anywhere, else a new one."""
    given = header(scope, b"x-request-id") or ""
    return given if _GOOD_ID.fullmatch(given) else os.urandom(16).hex()
