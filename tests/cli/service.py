"""A small real HTTP service that answers what a test tells it, and remembers what it was asked."""

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cli.answers import completed


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    payload: Any


@dataclass
class Reply:
    """What to answer. A dict need not be whole (`answers.py`).

    A `body` that is an iterator is streamed piece by piece, and then the connection closed.
    """

    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Answer = Reply | Callable[[Asked], Reply] | dict[str, Any] | list[Any]


class Service:
    """Answers by method and path, else `otherwise`. Several answers for one are given in turn; the last one stays."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.otherwise: Answer = problem(404, "There is no such thing.", "Look elsewhere.")
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do(self) -> None:
                service._handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = do

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self._answers[method, path] = list(answers)

    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        asked = Asked(
            handler.command,
            parts.path,
            parse_qs(parts.query),
            {name.lower(): value for name, value in handler.headers.items()},
            json.loads(body) if body else None,
        )
        self.asked.append(asked)
        reply = self._reply(asked)
        if reply.content_type == "application/json" and isinstance(reply.body, (dict, list)):
            reply = replace(reply, body=completed(asked.method, asked.path, reply.status, reply.body))
        self._send(handler, reply)

    def _reply(self, asked: Asked) -> Reply:
        answers = self._answers.get((asked.method, asked.path)) or [self.otherwise]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Reply):
            return answer
        return answer(asked) if callable(answer) else Reply(answer)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        streamed = isinstance(reply.body, Iterator)
        data = (
            b""
            if streamed
            else reply.body
            if isinstance(reply.body, bytes)
            else json.dumps(reply.body).encode()
        )
        try:
            handler.send_response(reply.status)
            handler.send_header("content-type", reply.content_type)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            if not streamed:
                handler.send_header("content-length", str(len(data)))
            handler.end_headers()
            for piece in reply.body if streamed else (data,):
                handler.wfile.write(piece)
                handler.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            if streamed:
                reply.body.close()  # a generator in the test notices that the client has left
        handler.close_connection = True


def problem(status: int, detail: str, hint: str = "", **data: Any) -> Reply:
    """A refusal as the service words it."""
    body = {
        "title": "Refused",
        "status": status,
        "detail": detail,
        "error": detail,
        "code": "c",
        "hint": hint,
        "data": data,
    }
    return Reply(body, status, "application/problem+json")


def sse(*messages: Any, end: str | None = "[DONE]") -> Reply:
    """Server-sent events: dicts as JSON, then the closing word of OpenAI streams."""

    def pieces() -> Iterator[bytes]:
        yield b": heartbeat\n\n"
        for message in messages:
            yield f"data: {json.dumps(message)}\n\n".encode()
        if end is not None:
            yield f"data: {end}\n\n".encode()

    return Reply(pieces(), content_type="text/event-stream")


def chunk(text: str) -> dict[str, Any]:
    """One piece of a streamed chat answer."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
