"""Who may: every carrier of a token under one policy."""

import asyncio
import inspect

import httpx2
import pytest

from model_manager.http import auth
from model_manager.http.application import application
from tests.http.conftest import ROUTES
from tests.http.live import TOKEN, raw, serving

Client = httpx2.AsyncClient
RIGHT, WRONG = TOKEN, "not-it"


@pytest.mark.parametrize(
    ("method", "path", "needs"),
    [
        ("GET", "/healthz", "open"),
        ("HEAD", "/readyz", "open"),
        ("GET", "/metrics", "open"),
        ("POST", "/healthz", "write"),
        ("GET", "/healthz/", "read"),
        ("GET", "/healthz\n", "read"),
        ("GET", "//healthz", "read"),
        ("GET", "/models", "read"),
        ("GET", "/v1/models", "read"),
        ("POST", "/v1/chat/completions", "read"),
        ("POST", "/v1", "write"),
        ("POST", "//v1/models", "write"),
        ("POST", "/models/activate", "write"),
        ("DELETE", "/weights/x", "write"),
        ("BREW", "/models", "write"),
        ("get", "/models", "write"),
    ],
)
def test_what_a_request_needs(method: str, path: str, needs: str) -> None:
    assert auth.access(method, path) == needs


CARRIERS = [
    ([("Authorization", f"Bearer {RIGHT}")], 200),
    ([("authorization", f"bearer {RIGHT}")], 200),
    ([("Authorization", f"BEARER   {RIGHT}  ")], 200),
    ([("Authorization", RIGHT)], 200),
    ([("X-API-Key", RIGHT)], 200),
    ([("Authorization", f"Bearer {RIGHT}"), ("X-API-Key", RIGHT)], 200),
    ([("Authorization", ""), ("X-API-Key", RIGHT)], 200),
    ([], 401),
    ([("Authorization", "")], 401),
    ([("Authorization", "Bearer")], 401),
    ([("Authorization", "Bearer ")], 401),
    ([("Authorization", f"Basic {RIGHT}")], 401),
    ([("Authorization", f"Bearer {WRONG}")], 401),
    ([("Authorization", f"Bearer {RIGHT} x")], 401),
    ([("Authorization", f"Bearer {RIGHT[:-1]}")], 401),
    ([("X-API-Key", f"Bearer {RIGHT}")], 401),
    ([("X-API-Key", WRONG)], 401),
    # a right one does not excuse a wrong one, in either order
    ([("Authorization", f"Bearer {WRONG}"), ("X-API-Key", RIGHT)], 401),
    ([("Authorization", f"Bearer {RIGHT}"), ("X-API-Key", WRONG)], 401),
    ([("Authorization", f"Bearer {WRONG}"), ("Authorization", f"Bearer {RIGHT}")], 401),
    ([("Authorization", f"Bearer {RIGHT}"), ("Authorization", f"Bearer {WRONG}")], 401),
    ([("Cookie", f"token={RIGHT}; Authorization={RIGHT}")], 401),
    ([("Proxy-Authorization", f"Bearer {RIGHT}")], 401),
]


@pytest.mark.parametrize(("headers", "status"), CARRIERS)
async def test_u3_one_policy_for_all_carriers(
    client: Client, headers: list[tuple[str, str]], status: int
) -> None:
    lines = [
        "POST /notes HTTP/1.1",
        "Host: x",
        "Connection: close",
        *(f"{n}: {v}" for n, v in headers),
        "",
        "",
    ]
    answer = (await raw(client, "\r\n".join(lines).encode())).decode()
    assert answer.startswith(f"HTTP/1.1 {status} ")
    if status == 401:
        assert 'www-authenticate: Bearer realm="model-manager"\r\n' in answer
        assert RIGHT not in answer


async def test_u3_never_in_the_query(client: Client) -> None:
    assert (await client.post(f"/notes?token={RIGHT}&access_token={RIGHT}")).status_code == 401


@pytest.mark.parametrize("token", [b"' OR 1=1 --", b"\xff\xfe\x80", b"\xc3\x28", b"%s%n", b"x" * 30_000])
async def test_u5_weird_bytes_are_just_wrong(client: Client, token: bytes) -> None:
    head = (
        b"POST /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
        + token
        + b"\r\n\r\n"
    )
    assert (await raw(client, head)).split(b" ", 2)[1] == b"401"


def test_u2_tokens_are_compared_as_hashes_in_constant_time() -> None:
    check = inspect.getsource(auth.Auth._check)
    assert "hmac.compare_digest(sha256(" in check
    assert "==" not in check


async def statuses(token: str | None, reads_open: bool, headers: dict[str, str]) -> dict[str, int]:
    app = application(
        [route.bound("") for route in ROUTES],
        version="1",
        token=token,
        reads_open=reads_open,
        closing=asyncio.Event(),
        open_paths=["/encoded"],
    )
    async with serving(app) as client:
        asked = [
            ("GET", "/healthz"), ("GET", "/encoded"), ("GET", "/things"), ("HEAD", "/things"),
            ("GET", "/none"), ("POST", "/v1/ask"), ("POST", "/notes"), ("POST", "/none"),
        ]  # fmt: skip
        return {f"{m} {p}": (await client.request(m, p, headers=headers)).status_code for m, p in asked}


ALWAYS = {"GET /healthz": 200, "GET /encoded": 200}


@pytest.mark.parametrize(
    ("token", "reads_open", "sent", "read", "none", "write"),
    [
        (TOKEN, True, None, 200, 404, 401),
        (TOKEN, True, TOKEN, 200, 404, 200),
        (
            TOKEN,
            True,
            WRONG,
            200,
            404,
            401,
        ),  # what is open asks for nothing: OpenAI clients must send some key
        (TOKEN, False, None, 401, 401, 401),
        (TOKEN, False, WRONG, 401, 401, 401),
        (TOKEN, False, TOKEN, 200, 404, 200),
        (None, True, None, 200, 404, 403),
        (None, False, None, 403, 403, 403),
        ("", False, None, 403, 403, 403),
    ],
)
async def test_u1_reads_writes_and_no_token_at_all(
    token: str | None, reads_open: bool, sent: str | None, read: int, none: int, write: int
) -> None:
    headers = {"authorization": f"Bearer {sent}"} if sent else {}
    assert await statuses(token, reads_open, headers) == {
        **ALWAYS,
        "GET /things": read,
        "HEAD /things": read,
        "GET /none": none,
        "POST /v1/ask": read,
        "POST /notes": write,
        "POST /none": 404 if write == 200 else write,
    }


async def test_u6_the_token_is_in_no_answer_and_no_log(
    client: Client, authorized: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        for path in ("/things", "/notes", "/broken", "/none", f"/{TOKEN[:0]}x"):
            response = await client.post(path, headers=authorized, content=b"{")
            assert TOKEN not in response.text + str(response.headers)
        await client.get("/broken", headers=authorized)
    assert TOKEN not in caplog.text


PAGES = [
    ("127.0.0.1:8080", None, 200),
    ("127.0.0.1", None, 200),
    ("LocalHost:8080", None, 200),
    ("[::1]:8080", None, 200),
    ("127.0.0.1:8080", "http://127.0.0.1:8080", 200),
    ("localhost:8080", "http://localhost:3000", 200),
    # a name of the attacker's that leads to 127.0.0.1, and pages of other origins
    ("evil.example:8080", None, 401),
    ("evil.example:8080", "http://evil.example:8080", 401),
    ("127.0.0.1.evil.example", None, 401),
    ("localhost.evil.example:8080", None, 401),
    ("evil.example@127.0.0.1", None, 401),
    ("", None, 401),
    ("127.0.0.1:8080", "http://evil.example", 401),
    ("127.0.0.1:8080", "http://127.0.0.1.evil.example", 401),
    ("127.0.0.1:8080", "null", 401),
    ("127.0.0.1:8080", "", 401),
]


@pytest.mark.parametrize(("host", "origin", "status"), PAGES)
@pytest.mark.parametrize("line", ["GET /things", "POST /v1/ask"])
async def test_h5a_a_web_page_from_elsewhere_reads_nothing_and_asks_nothing(
    client: Client, line: str, host: str, origin: str | None, status: int
) -> None:
    head = [
        f"{line} HTTP/1.1",
        f"Host: {host}",
        "Connection: close",
        *([f"Origin: {origin}"] * (origin is not None)),
    ]
    answer = await raw(client, "\r\n".join([*head, "", ""]).encode())
    assert answer.split(b" ", 2)[1] == b"%d" % status
    with_token = [*head, f"Authorization: Bearer {RIGHT}", "", ""]
    assert (await raw(client, "\r\n".join(with_token).encode())).split(b" ", 2)[1] == b"200"


async def test_h5a_two_hosts_are_not_better_than_one(client: Client) -> None:
    head = b"GET /things HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert (await raw(client, head)).split(b" ", 2)[1] != b"200"
