"""Which headers and addresses the relay accepts."""

import pytest

from model_manager.errors import UpstreamError
from model_manager.relay.head import Origin, end_to_end, request_head, split_url


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://127.0.0.1:8080", Origin("127.0.0.1", 8080), "/"),
        ("http://pod/v1/models?a=b", Origin("pod", 80), "/v1/models?a=b"),
        ("http://[fd00::1]:8080/x", Origin("fd00::1", 8080), "/x"),
    ],
)
def test_addresses(url: str, origin: Origin, target: str) -> None:
    assert split_url(url) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "https://server/",
        "server/v1",
        "http://",
        "http:///v1",
        "http://server:99999/",
        "http://user:pass@server/",
        "http://server/#part",
        "http://server/a b",
        "http://server/\r\nX: y",
        "http://server/\n",
        "http://server/ä",
        "http://[::1/",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UpstreamError):
        split_url(url)


def test_origins_are_written_as_one_reads_them() -> None:
    assert str(Origin("fd00::1", 80)) == "http://[fd00::1]:80"


def test_the_head_has_our_framing_and_our_host() -> None:
    given = [
        (b"Content-Length", b"99"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Host", b"elsewhere"),
        (b"Expect", b"100-continue"),
        (b"Accept", b"*/*"),
    ]
    head = request_head("POST", "/v1", Origin("::1", 80), given, 5)
    assert head == b"POST /v1 HTTP/1.1\r\nhost: [::1]:80\r\naccept: */*\r\ncontent-length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "length", "framing"),
    [
        ("GET", 0, b""),
        ("POST", 0, b"content-length: 0\r\n"),
        ("POST", None, b"transfer-encoding: chunked\r\n"),
    ],
)
def test_framing(method: str, length: int | None, framing: bytes) -> None:
    head = request_head(method, "/", Origin("h", 1), [], length)
    assert head == method.encode() + b" / HTTP/1.1\r\nhost: h:1\r\n" + framing + b"\r\n"


@pytest.mark.parametrize(
    "header",
    [
        (b"a", b"b\r\nX: y"),
        (b"a", b"b\n"),
        (b"a", b"b\r"),
        (b"a", b"b\0"),
        (b"a b", b"c"),
        (b"a:", b"c"),
        (b"a\r\n", b"c"),
        (b"", b"c"),
    ],
)
def test_headers_that_would_begin_another_are_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(UpstreamError, match="line break or a control character"):
        request_head("GET", "/", Origin("h", 1), [header], 0)


def test_a_method_cannot_smuggle_a_target() -> None:
    with pytest.raises(UpstreamError, match="no HTTP method"):
        request_head("GET /other", "/", Origin("h", 1), [], 0)


def test_w14_hop_by_hop_headers_end_here_also_those_that_connection_names() -> None:
    given = [
        (b"Connection", b"close, X-Private"),
        (b"X-Private", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Authorization", b"Basic x"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"trailers"),
        (b"Trailer", b"x"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"x"),
        (b"X-Public", b"2"),
    ]
    assert end_to_end(given) == [(b"x-public", b"2")]
