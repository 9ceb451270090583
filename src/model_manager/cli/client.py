"""A small HTTP client of the management API: one connection a call, no redirects, no proxies.

`http.client` and not a bigger one: it is imported in milliseconds, and a command makes one or two calls.
Redirects are not followed, so the token cannot travel to another host.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from model_manager.cli.exit_codes import NotReachable, Problem
from model_manager.errors import InvalidRequest

CONNECT_TIMEOUT = 5.0
"""Seconds until a silent address counts as not answering."""

ANSWER_TIMEOUT = 60.0
"""Seconds to wait for an answer, and between two pieces of a stream (a heartbeat comes every 15 s)."""

START_HINT = "Start it with `model-manager serve` (or `quickstart`), or name its address with --url."

TOKEN_HINT = (
    "Put the token into MODEL_MANAGER_API_TOKEN, a file named by MODEL_MANAGER_API_TOKEN_FILE, or a context "
    "(`model-manager context add`); on the service's own machine it is the file `token` in the state folder."
)


class Client:
    """Speaks JSON with the service at `url`. Raises NotReachable, or the service's own Problem."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        token_from: str = "",
        connect_timeout: float | None = None,
    ) -> None:
        """`token_from` says where the token was found, for the hint when it is refused; the timeout is in seconds."""
        self.url = url.rstrip("/")
        self._parts = parse_address(url)
        self._token = token
        self._token_from = token_from
        self._connect_timeout = connect_timeout or CONNECT_TIMEOUT

    def __repr__(self) -> str:
        return f"Client({self.url!r})"  # never the token

    def get(self, *path: str, **query: Any) -> Any:
        """The JSON at a path, given as its segments: `client.get("jobs", job_id)`."""
        return json.loads(self.body("GET", *path, **query))

    def post(self, *path: str, payload: Any = None, timeout: float = ANSWER_TIMEOUT, **query: Any) -> Any:
        return json.loads(self.body("POST", *path, payload=payload, timeout=timeout, **query) or b"null")

    def put(self, *path: str, payload: Any = None, **query: Any) -> Any:
        return json.loads(self.body("PUT", *path, payload=payload, **query) or b"null")

    def delete(self, *path: str, **query: Any) -> Any:
        return json.loads(self.body("DELETE", *path, **query) or b"null")

    def body(
        self, method: str, *path: str, payload: Any = None, timeout: float = ANSWER_TIMEOUT, **query: Any
    ) -> bytes:
        """The answer's bytes, unchanged."""
        with self.stream(method, *path, payload=payload, timeout=timeout, **query) as answer:
            data = answer.read()
            if data and "json" not in answer.content_type:
                raise not_ours(self.url)
        return data

    @contextmanager
    def stream(
        self,
        method: str,
        *path: str,
        payload: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = ANSWER_TIMEOUT,
        **query: Any,
    ) -> Iterator["Answer"]:
        """An open answer below status 300, read as it comes; leaving the block closes the connection."""
        connection = self._connect(timeout)
        try:
            with sentences(self.url, timeout):
                connection.request(
                    method,
                    self._target(path, query),
                    body=None if payload is None else json.dumps(payload).encode(),
                    headers=self._headers(payload is not None, headers or {}),
                )
                response = connection.getresponse()
                if response.status >= 300:
                    raise self._refused(response)
            yield Answer(response, self.url, timeout)
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        assert self._parts.hostname is not None  # checked by __init__
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname, self._parts.port, timeout=self._connect_timeout)
        with sentences(self.url, self._connect_timeout):
            connection.connect()
        connection.sock.settimeout(timeout)
        return connection

    def _refused(self, response: http.client.HTTPResponse) -> Problem:
        """The service's own refusal. It calls a token a header; here that is a file or a variable."""
        error = _problem(response, self.url)
        if error.http_status == 401:
            error.hint = f"The token is from {self._token_from}." if self._token else TOKEN_HINT
        elif error.http_status == 403 and self._token:
            error.hint = f"{error.hint} The token is from {self._token_from}.".strip()
        return error

    def _target(self, path: tuple[str, ...], query: dict[str, Any]) -> str:
        target = self._parts.path.rstrip("/") + "".join("/" + quote(part, safe="") for part in path)
        given = {key: value for key, value in query.items() if value is not None}
        return target + ("?" + urlencode(given) if given else "")

    def _headers(self, has_body: bool, extra: dict[str, str]) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "model-manager-cli", **extra}
        if has_body:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


class Answer:
    """An answer whose body is read while it arrives."""

    def __init__(self, response: http.client.HTTPResponse, url: str, timeout: float) -> None:
        self._response, self._url, self._timeout = response, url, timeout
        self.content_type = response.getheader("content-type") or ""

    def read(self) -> bytes:
        with sentences(self._url, self._timeout):
            return self._response.read()

    def __iter__(self) -> Iterator[bytes]:
        """Its lines, with their ends."""
        while True:
            with sentences(self._url, self._timeout):
                line = self._response.readline()
            if not line:
                return
            yield line


@contextmanager
def sentences(url: str, timeout: float) -> Iterator[None]:
    """The system's words for a failed connection become ours."""
    try:
        yield
    except ConnectionRefusedError as e:
        raise NotReachable(f"Model Manager does not answer at {url}.", START_HINT) from e
    except TimeoutError as e:
        raise NotReachable(
            f"Model Manager did not answer at {url} within {timeout:.0f} s.",
            "Look at its log: it may be overloaded, or something else may listen there.",
        ) from e
    except socket.gaierror as e:
        raise NotReachable(
            f"The host of {url} is not known here.", "Check the address given with --url."
        ) from e
    except ssl.SSLCertVerificationError as e:
        raise NotReachable(
            f"The certificate of {url} is not trusted here: {e.verify_message}.",
            "If an authority of your own signed it, name that authority's file in SSL_CERT_FILE.",
        ) from e
    except ssl.SSLError as e:
        raise NotReachable(
            f"The TLS connection to {url} failed: {e.reason}.",
            "Check the certificate, or write http:// when the service speaks plain HTTP.",
        ) from e
    except (http.client.HTTPException, ConnectionError) as e:
        raise NotReachable(
            f"The connection to {url} broke off.",
            "The service may have stopped; look with `model-manager status`.",
        ) from e
    except OSError as e:
        raise NotReachable(f"{url} cannot be reached: {e.strerror or e}.", START_HINT) from e


def parse_address(url: str) -> SplitResult:
    """The parts of a service's address. Raises InvalidRequest, without repeating a password."""
    if "@" in url:
        raise InvalidRequest(
            "An address must not hold a user name or password.",
            "Put the token into MODEL_MANAGER_API_TOKEN or a file named by MODEL_MANAGER_API_TOKEN_FILE.",
        )
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # a port that is no number, a broken IPv6 address
        pass
    raise InvalidRequest(f"{url!r} is not the address of a service.", "Write it like http://127.0.0.1:8080.")


def not_ours(url: str) -> Problem:
    """Something else listens there, and answers."""
    return Problem(
        f"What answers at {url} is not Model Manager.", "Name its address with --url.", http_status=200
    )


def _problem(response: http.client.HTTPResponse, url: str) -> Problem:
    """What the service refused with: problem+json, the OpenAI error shape, or anything else."""
    data = response.read(1 << 20)
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return Problem(
            f"{url} answered {response.status} {response.reason}.",
            "Is this address Model Manager's? Name another with --url.",
            http_status=response.status,
        )
    error = answer.get("error")
    inner = error if isinstance(error, dict) else {}
    sentence = (
        answer.get("detail")
        or inner.get("message")
        or (error if isinstance(error, str) else "")
        or " ".join(answer.get("reasons") or ())
        or answer.get("title")
        or f"{url} answered {response.status} {response.reason}."
    )
    hint = answer.get("hint") or inner.get("hint") or ""
    code = answer.get("code") or inner.get("code") or ""
    return Problem(
        str(sentence), str(hint), http_status=response.status, problem_code=str(code), answer=answer
    )
