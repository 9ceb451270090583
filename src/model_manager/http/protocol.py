"""uvicorn's HTTP protocol with a limit it lacks: on what a request holds beside its body.

Without one, whoever can connect makes the service keep a header that never ends, before any token is asked for.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from model_manager.http.outlet import EXTENSION, Outlet

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's line and headers, and of trailers and chunk sizes between two pieces of its body."""

MAX_HEADERS = 256

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 and closes when a head is too large, wherever in it that shows."""

    _beside = 0
    """Bytes that arrived since the last piece of a body or the last request's end."""

    _head = 0
    _fields = 0

    _outlet: Outlet | None = None
    """Of the request that is being answered."""

    def data_received(self, data: bytes) -> None:
        self._beside += len(data)
        super().data_received(data)
        if self._beside > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        self._head = self._fields = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers come here too."""
        self._head += len(name) + len(value)
        self._fields += 1
        if self._head > MAX_HEAD_BYTES or self._fields > MAX_HEADERS:
            raise ValueError("too large a head")  # ends the parser, and then `send_400_response` is asked for
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._beside = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: Any = cycle.scope
        self._outlet = None
        if scope["http_version"] == "1.1" and scope["method"] != "HEAD":
            self._outlet = Outlet(cycle)
            scope["extensions"] = {EXTENSION: self._outlet}
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._outlet is not None:
            self._outlet.lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._outlet is not None:
            self._outlet.paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._outlet is not None:
            self._outlet.resumed()

    def send_400_response(self, msg: str) -> None:
        if self._head > MAX_HEAD_BYTES or self._fields > MAX_HEADERS:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # else it would land inside of another answer
            self.transport.write(_TOO_LARGE)
        self.transport.close()
