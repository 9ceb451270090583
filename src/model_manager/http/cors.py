"""Cross-origin requests of the listed origins' pages (https://fetch.spec.whatwg.org/#http-cors-protocol).

Never with credentials that the browser adds unasked: a page sends its token itself.
"""

import re

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_manager.http.hosts import Origins
from model_manager.http.parsing import header

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"

EXPOSED = "ETag, Idempotent-Replayed, Link, Location, Retry-After, X-Request-ID"
"""Headers of answers that pages may read beside the few that they always may."""

MAX_AGE = 600
"""Seconds for which a browser need not ask again."""

_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")


class Cors:
    """ASGI middleware, outside of everything else, so that a page can also read why it was refused."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        allowed = origin if origin is not None and self._origins.is_listed(origin.encode("latin-1")) else None
        if allowed and scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method"):
            await _preflight(scope, allowed)(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")  # else a cache gives one origin's answer to another
                if allowed:
                    headers["Access-Control-Allow-Origin"] = allowed
                    headers["Access-Control-Expose-Headers"] = EXPOSED
            await send(message)

        await self._app(scope, receive, sending)


def _preflight(scope: Scope, origin: str) -> Response:
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Max-Age": str(MAX_AGE),
        "Vary": "Origin",
    }
    asked = header(scope, b"access-control-request-headers") or ""
    if _NAMES.fullmatch(asked):  # the clients of OpenAI and Anthropic send many of their own
        headers["Access-Control-Allow-Headers"] = asked
    return Response(status_code=204, headers=headers)
