"""What a request needs, by method and path; and what it presents."""

import pytest

from model_manager.http.access import Access, access, presented


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("GET", "/healthz", "open"),
        ("HEAD", "/readyz", "open"),
        ("GET", "/metrics", "open"),
        ("POST", "/healthz", "admin"),
        ("POST", "/catalog/webhook", "open"),
        ("PUT", "/catalog/webhook", "admin"),
        ("GET", "/catalog/webhook", "read"),
        ("GET", "/models", "read"),
        ("OPTIONS", "/models/activate", "read"),
        ("GET", "/openapi.json", "read"),
        ("GET", "/tokens", "admin"),
        ("HEAD", "/tokens", "admin"),
        ("OPTIONS", "/tokens", "admin"),
        ("GET", "/tokens/abc", "admin"),
        ("GET", "/tokens/current", "token"),
        ("HEAD", "/tokens/current", "token"),
        ("DELETE", "/tokens/current", "admin"),
        ("GET", "/support-bundle", "admin"),
        ("GET", "/v1/models", "any"),
        ("GET", "/v1/models/a/b", "any"),
        ("POST", "/v1/models", "chat"),
        ("GET", "/v1/modelsx", "chat"),
        ("GET", "/v1/", "chat"),
        ("POST", "/v1/chat/completions", "chat"),
        ("DELETE", "/v1/none", "chat"),
        ("POST", "/v1", "admin"),
        ("POST", "/models/activate", "admin"),
        ("DELETE", "/weights/x", "admin"),
        ("BREW", "/models", "admin"),
        ("get", "/models", "admin"),
        ("get", "/healthz", "admin"),
    ],
)
def test_what_a_request_needs(method: str, path: str, needs: Access) -> None:
    assert access(method, path) == needs


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/",
        "/healthz\n",
        "//healthz",
        "/./healthz",
        "/healthz;x",
        "/healthz.",
        "/HEALTHZ",
        "/x/../healthz",
    ],
)
def test_h7a_a_path_that_only_resembles_an_open_one_is_not(path: str) -> None:
    assert access("GET", path) == "read"


@pytest.mark.parametrize(
    "path", ["/tokens/", "/tokens\n", "/tokens/current/", "/tokens/current\n", "/tokens//current"]
)
def test_h7a_what_resembles_an_administrators_path_is_not_opened(path: str) -> None:
    assert access("GET", path) in ("admin", "read")
    assert (access("GET", path) == "read") is (path == "/tokens\n")  # which is routed nowhere


def test_other_paths_can_be_public() -> None:
    assert access("GET", "/docs", frozenset({"/docs"})) == "open"
    assert access("GET", "/healthz", frozenset({"/docs"})) == "read"
    assert access("POST", "/docs", frozenset({"/docs"})) == "admin"


@pytest.mark.parametrize(
    ("headers", "tokens"),
    [
        ([(b"authorization", b"Bearer T")], [b"T"]),
        ([(b"authorization", b"bearer  T ")], [b"T"]),
        ([(b"authorization", b" T")], [b"T"]),
        ([(b"authorization", b"Basic T")], [b"Basic T"]),
        ([(b"authorization", b"Bearer")], []),
        ([(b"authorization", b"Bearer ")], []),
        ([(b"authorization", b"")], []),
        ([(b"x-api-key", b" T ")], [b"T"]),
        ([(b"x-api-key", b"Bearer T")], [b"Bearer T"]),
        (
            [(b"x-api-key", b"A"), (b"authorization", b"Bearer B"), (b"authorization", b"C")],
            [b"A", b"B", b"C"],
        ),
        ([(b"cookie", b"T"), (b"proxy-authorization", b"T"), (b"accept", b"T")], []),
    ],
)
def test_u3_the_tokens_that_a_request_presents(
    headers: list[tuple[bytes, bytes]], tokens: list[bytes]
) -> None:
    assert presented(headers).tokens == tokens


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ([(b"host", b"127.0.0.1:8080")], True),
        ([(b"host", b"LocalHost")], True),
        ([(b"host", b"[::1]:80")], True),
        ([(b"host", b"models.example.com")], False),
        ([(b"host", b"localhost.example.com")], False),
        ([(b"host", b"localhost"), (b"host", b"models.example.com")], False),
        ([(b"host", b"localhost"), (b"x-forwarded-for", b"192.0.2.1")], False),
        ([(b"host", b"localhost"), (b"forwarded", b"for=192.0.2.1")], False),
        ([(b"host", b"localhost"), (b"x-forwarded-host", b"models.example.com")], False),
        ([(b"host", b"localhost"), (b"x-real-ip", b"192.0.2.1")], False),
        ([(b"host", b"localhost"), (b"via", b"1.1 varnish")], False),
    ],
)
def test_h5a_whether_it_is_a_program_of_this_machine(headers: list[tuple[bytes, bytes]], local: bool) -> None:
    assert presented(headers).is_of_this_machine is local
