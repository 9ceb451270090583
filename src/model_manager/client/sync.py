"""The sync client: one connection a call, no redirects, no proxies.

`http.client` and not a bigger library: it is imported in milliseconds, and a command line makes one or two calls.
Redirects are not followed, so the token cannot travel to another host.
"""

import http.client
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from model_manager.client import calls
from model_manager.client.call import Call, patience
from model_manager.client.endpoint import CONNECT_TIMEOUT, Endpoint
from model_manager.client.errors import refusal
from model_manager.client.failures import sentences
from model_manager.client.operations import SyncOperations
from model_manager.client.sse import Message, messages

T = TypeVar("T")


class Client(Endpoint, SyncOperations):
    """Speaks with the service at `url`; see `Endpoint` for what it takes."""

    def send(self, call: Call[T]) -> T:
        """Ask, and return the decoded answer. Raises ApiError or NotReachable."""
        status, body = self.raw(call)
        return call.answer(status, body, self.url)

    def raw(self, call: Call[T]) -> tuple[int, bytes]:
        """The status and the bytes of an answer, as they came."""
        timeout = patience(call, self._timeout)
        with self._exchange(call, "application/json", timeout) as response, sentences(self.url, timeout):
            return response.status, response.read()

    def events(self, after: int | None = None) -> Iterator[Message]:
        """The history as it happens, from after that id (None: from now on), until the service ends it."""
        return self.stream(calls.get_events(after=after))

    def stream(self, call: Call[T], *, timeout: float | None = None) -> Generator[Message, None, None]:
        """The server-sent events that a call answers with when asked for them; closing it ends the connection.

        `timeout` in seconds is for each wait, by default the client's.
        """
        timeout = timeout or self._timeout
        with self._exchange(call, "text/event-stream", timeout) as response:
            if response.status not in call.returns:
                with sentences(self.url, timeout):
                    raise refusal(response.status, response.read(), self.url)
            yield from messages(self._lines(response, timeout))

    def _lines(self, response: http.client.HTTPResponse, timeout: float) -> Iterator[bytes]:
        while True:
            with sentences(self.url, timeout):
                line = response.readline()
            if not line:
                return
            yield line

    @contextmanager
    def _exchange(self, call: Call[T], accept: str, timeout: float) -> Iterator[http.client.HTTPResponse]:
        connection = self._connect()
        try:
            with sentences(self.url, timeout):
                connection.sock.settimeout(timeout)
                target = self._address.path.rstrip("/") + call.target
                connection.request(call.method, target, call.body(), call.headers(self._token, accept))
                response = connection.getresponse()
            yield response
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        assert self._address.hostname is not None  # checked by parse_address
        host, port = self._address.hostname, self._address.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT, context=self._tls)
            if self._address.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
        )
        with sentences(self.url, CONNECT_TIMEOUT):
            connection.connect()
        return connection
