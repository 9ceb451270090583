"""The bytes before a request's body, and which headers may cross a relay. Pure: no I/O.

Framing is never taken over from anyone: a message that leaves here is framed by us (RFC 9112 §6),
so that no two readers can disagree about where it ends.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from model_manager.errors import UpstreamError

Headers = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers about one connection (RFC 9110 §7.6.1), which end at whoever reads them."""

_OURS = HOP_BY_HOP | {b"content-length", b"expect", b"host"}
_LINE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n"
_GOOD_LINE = re.compile(_LINE)
_GOOD_LINES = re.compile(rb"(?:" + _LINE + rb")*")
_TARGET = re.compile(r"[!-~]+")
_METHOD = re.compile(r"[A-Z]+")


class Origin(NamedTuple):
    """Where a connection goes; connections are pooled by it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


class Prepared(NamedTuple):
    """A POST that is sent again and again: all of it but its body and what differs in its head."""

    origin: Origin
    head: bytes


def prepare(url: str, headers: Headers) -> Prepared:
    """A POST to `url`, with these headers. Raises UpstreamError for what cannot be sent."""
    origin, target = split_url(url)
    return Prepared(origin, _first_lines("POST", target, origin) + _known_fields(tuple(headers)))


@lru_cache(maxsize=256)
def split_url(url: str) -> tuple[Origin, str]:
    """The origin and the request target of an absolute `http:` URL; UpstreamError when it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    # A fragment or user name would be dropped in silence: better to hear of it.
    if not host or parts.scheme != "http" or "@" in parts.netloc or parts.fragment:
        raise UpstreamError("a model server's address must be like http://host:port/path")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # urlsplit removes line breaks itself; that repair would hide an injection, so the URL is judged as given.
    if not _TARGET.fullmatch(url):
        raise UpstreamError("a model server's address holds a space, a control or a non-ASCII character")
    return Origin(host, 80 if port is None else port), target


def request_head(
    method: str, target: str, origin: Origin, headers: Headers, length: int | None, unique: Headers = ()
) -> bytes:
    """The request line and headers. `length` of the body in bytes; None for a chunked one.

    `headers` are remembered, for one client says the same in every request; `unique` ones are not.

    Raises UpstreamError for a header that cannot be sent (a line break in it would begin another header).
    """
    if length is None:
        framing = b"transfer-encoding: chunked\r\n"
    elif length or method not in ("GET", "HEAD", "DELETE"):
        framing = b"content-length: %d\r\n" % length
    else:
        framing = b""
    known, own = _known_fields(tuple(headers)), _lines(unique) if unique else b""
    return b"%b%b%b%b\r\n" % (_first_lines(method, target, origin), known, own, framing)


@lru_cache(maxsize=256)
def _known_fields(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return _lines([pair for pair in end_to_end(headers) if pair[0] not in _OURS])


def _lines(headers: Headers) -> bytes:
    """The headers as they are sent."""
    lines = [b"%b: %b\r\n" % pair for pair in headers]
    fields = b"".join(lines)
    # One match for all is far cheaper than one each. A value that is two good lines shows in their number.
    if not _GOOD_LINES.fullmatch(fields) or fields.count(b"\n") != len(lines):
        bad = next(line for line in lines if not _GOOD_LINE.fullmatch(line))
        raise UpstreamError(
            f"the header {bad.partition(b': ')[0].decode('latin-1')!r} holds a line break or a control character"
        )
    return fields


@lru_cache(maxsize=256)
def _first_lines(method: str, target: str, origin: Origin) -> bytes:
    if not _METHOD.fullmatch(method):
        raise UpstreamError(f"{method!r} is no HTTP method")
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{method} {target} HTTP/1.1\r\nhost: {host}:{origin.port}\r\n".encode("ascii")


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without hop-by-hop ones, those that `Connection` names included; names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    if HOP_BY_HOP.isdisjoint([name for name, _ in lowered]):
        return lowered
    dropped: set[bytes] | frozenset[bytes] = HOP_BY_HOP
    for name, value in lowered:
        if name == b"connection":
            dropped = dropped | {token.strip().lower() for token in value.split(b",")}
    return [(name, value) for name, value in lowered if name not in dropped]
