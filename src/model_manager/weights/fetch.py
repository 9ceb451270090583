"""GET over HTTP for `transfer`: few redirects, no token beyond its origin, nothing but the planned file."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from model_manager.errors import Forbidden, ModelManagerError, NotFound, Unprocessable, UpstreamError
from model_manager.listening import is_loopback
from model_manager.weights.names import shown
from model_manager.weights.plan import Access, PlannedFile

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
"""Seconds until a server that says nothing counts as gone."""

MAX_REDIRECTS = 5
MAX_RETRY_AFTER = 300.0

# urllib3's kinds of failure, the narrower before the wider they are derived from
_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (NameResolutionError, "The name {} is not known here."),
    (NewConnectionError, "{} takes no connection."),
    (ConnectTimeoutError, f"{{}} could not be reached within {CONNECT_TIMEOUT:.0f} s."),
    (ReadTimeoutError, f"{{}} sent nothing for {READ_TIMEOUT:.0f} s."),
)

_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Again(Exception):
    """This attempt at a file failed as another may not; `final` is the error when no attempt is left."""

    def __init__(self, final: ModelManagerError, wait: float | None = None) -> None:
        super().__init__(final.sentence)
        self.final = final
        self.wait = wait


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what must stay the same for a token to go along."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0),
    )


def check_url(url: str, allow_http: bool) -> None:
    """Refuse what is not `https:`. Plain HTTP needs the operator's word and a loopback host."""
    scheme, host, _ = origin_of(url)
    if scheme == "https" or (scheme == "http" and allow_http and is_loopback(host)):
        return
    raise Unprocessable(
        f"Weights are not fetched from {host or shown(url)} over {scheme or 'an unknown scheme'}.",
        "Use an https address: without it anyone on the way can read and change what is sent.",
    )


class Fetcher:
    """A connection pool for one plan. Use as a context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = urllib3.PoolManager(
            num_pools=8, retries=False, timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
        )

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def size(self, url: str) -> int | None:
        """What the server says a file weighs, by HEAD; None when it does not say."""
        with self._open("HEAD", url, None) as response:
            text = response.headers.get("Content-Length", "")
            return int(text) if text.isascii() and text.isdigit() else None

    def chunks(self, file: PlannedFile, size: int) -> Iterator[bytes]:
        """The bytes of a file as they come, at most `size` at once. Raises Again or a final error."""
        assert file.url is not None
        with self._open("GET", file.url, file) as response:
            _check_body(response, file)
            with _in_words(file.url):
                while chunk := response.read1(size, decode_content=False):
                    yield chunk

    @contextmanager
    def _open(self, method: str, url: str, file: PlannedFile | None) -> Iterator[BaseHTTPResponse]:
        """The final answer (200) at the end of at most MAX_REDIRECTS redirects."""
        response = self._request(method, url)
        try:
            for _ in range(MAX_REDIRECTS):
                if not 300 <= response.status < 400:
                    break
                self._check_hop(response, file)
                url = urljoin(url, response.headers.get("Location", ""))
                _discard(response)
                response = self._request(method, url)
            self._check_hop(response, file)
            self._check_status(response, url, file)
            yield response
        finally:
            response.close()

    def _request(self, method: str, url: str) -> BaseHTTPResponse:
        check_url(url, self._access.allow_http)
        headers = {"Accept-Encoding": "identity", "User-Agent": "model-manager"}
        if self._access.token and origin_of(url) == self._access.origin:
            headers["Authorization"] = f"Bearer {self._access.token}"
        with _in_words(url):
            return self._pool.request(method, url, headers=headers, redirect=False, preload_content=False)

    def _check_hop(self, response: BaseHTTPResponse, file: PlannedFile | None) -> None:
        """What a Hub says of a file on its way must be what was planned: else the file list is a lie."""
        if file is None:
            return
        said = response.headers
        linked = said.get("X-Linked-Etag", "").strip('"')
        expected = (
            ("commit", said.get("X-Repo-Commit"), self._access.commit),
            ("size", said.get("X-Linked-Size"), str(file.size)),
            ("sha256", linked if len(linked) == 64 else None, file.sha256),
        )
        for what, got, want in expected:
            if got is not None and want is not None and got != want:
                raise Again(_wrong(file, what, want, got))

    def _check_status(self, response: BaseHTTPResponse, url: str, file: PlannedFile | None) -> None:
        status, host = response.status, origin_of(url)[1]
        name = shown(file.path) if file else "the file"
        if status == 200:
            return
        if status in _AGAIN or (
            status == 403 and origin_of(url) != self._access.origin and self._access.origin
        ):
            # a 403 beyond the Hub is a signed address that has run out: the next attempt gets a new one
            error = UpstreamError(
                f"{host} answered {status} for {name}.",
                "Retry later.",
                file=name,
                http_status=status,
                retryable=True,
            )
            raise Again(error, _retry_after(response))
        raise _refusal(status, host, name, self._access)


def _discard(response: BaseHTTPResponse) -> None:
    """Done with a redirect: read what little it says, so that the connection serves again, and no more."""
    with _in_words(""):
        response.read(65_536)
    response.close()


def _refusal(status: int, host: str, name: str, access: Access) -> ModelManagerError:
    """The end for an answer that asking again does not change."""
    if status in (401, 403) and access.origin is None:
        return Forbidden(f"{host} answered {status} for {name}: it is not public.", retryable=False)
    if status == 401:
        what = "refused the token it was given" if access.token else "asks for a token"
        return Forbidden(
            f"{host} {what} to read {name}.",
            "Set a Hugging Face token that may read this repository.",
            retryable=False,
        )
    if status == 403:
        return Forbidden(
            f"{host} refuses {name}: the repository is gated, or the token has no access to it.",
            "Accept the model's terms on its page, with the account that the token belongs to.",
            retryable=False,
        )
    if status in (404, 410):
        return NotFound(
            f"{name} does not exist on {host} (any more).", "Refresh the catalog and retry.", retryable=False
        )
    if 300 <= status < 400:
        return UpstreamError(f"{host} redirects {name} in a circle.", retryable=False)
    return UpstreamError(f"{host} answered {status} for {name}.", http_status=status, retryable=False)


def _check_body(response: BaseHTTPResponse, file: PlannedFile) -> None:
    """Reject before a byte is written what cannot be the file: a login page, another size, packed bytes."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html" and not file.path.lower().endswith((".html", ".htm")):
        raise Again(
            UpstreamError(
                f"Instead of {shown(file.path)} came a web page, as login pages of proxies do.",
                "Open the address in a browser on this machine, or ask who runs the network's proxy.",
                file=file.path,
                retryable=False,
            )
        )
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Again(_wrong(file, "encoding", "identity", response.headers["Content-Encoding"]))
    length = response.headers.get("Content-Length")
    if length is not None and length != str(file.size):
        raise Again(_wrong(file, "size", str(file.size), length))


def _wrong(file: PlannedFile, what: str, want: str, got: str) -> UpstreamError:
    return mismatch(file.path, what, want, got if got.isprintable() else ascii(got))


def mismatch(path: str, what: str, want: str, got: str) -> UpstreamError:
    """The error for content that is not what its source promised."""
    return UpstreamError(
        f"{shown(path)} came with the wrong {what}: wanted {want}, got {got}.",
        "Nothing was installed. A proxy or mirror on the way may change files; try another network.",
        file=path,
        want=want,
        got=got,
        retryable=False,
    )


@contextmanager
def _in_words(url: str) -> Iterator[None]:
    """Turn urllib3's exceptions into ours. Its texts hold whole URLs, signatures too: none is passed on."""
    host = origin_of(url)[1]
    try:
        yield
    except SSLError as error:
        raise UpstreamError(
            f"The certificate of {host} could not be verified.",
            "Check the clock and the CA certificates of this machine; a proxy may be opening connections.",
            retryable=False,
        ) from error
    except (HTTPError, OSError) as error:
        what = next((text for kind, text in _FAILURES if isinstance(error, kind)), "{} broke the connection.")
        raise Again(
            UpstreamError(what.format(host), "Check the network and retry.", retryable=True)
        ) from error


def _retry_after(response: BaseHTTPResponse) -> float | None:
    """Seconds the server asks to wait, capped; its date form is not worth a clock."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and len(text) < 10 else None
