"""Who may: every carrier of a token under one policy, for every way the service can be reached."""

import asyncio
from hashlib import sha256
from typing import Any

import httpx2
import pytest

from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.tokens import Failures, Identity, Keyring
from tests.http.conftest import ROUTES
from tests.http.live import TOKEN, raw, serving

Client = httpx2.AsyncClient
RIGHT, WRONG = TOKEN, "not-it"

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


async def asked(client: Client, line: str, headers: list[tuple[str, str]]) -> str:
    """The whole answer to a request with exactly these headers."""
    lines = [
        f"{line} HTTP/1.1",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
        "",
        "",
    ]
    return (await raw(client, "\r\n".join(lines).encode("latin-1"))).decode("latin-1")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


@pytest.mark.parametrize(("headers", "expected"), CARRIERS)
async def test_u3_one_policy_for_all_carriers(
    client: Client, headers: list[tuple[str, str]], expected: int
) -> None:
    answer = await asked(client, "POST /notes", [("Host", "localhost"), *headers])
    assert status(answer) == expected
    if expected == 401:
        assert 'www-authenticate: Bearer realm="model-manager"\r\n' in answer
        assert RIGHT not in answer


async def test_what_lacks_v1_is_said_before_a_token_is_asked_for(client: Client) -> None:
    response = await client.post("/chat/completions")
    assert response.status_code == 404
    assert "/v1/chat/completions" in response.text


async def test_u3_never_in_the_query(client: Client) -> None:
    assert (await client.post(f"/notes?token={RIGHT}&access_token={RIGHT}")).status_code == 401


@pytest.mark.parametrize("token", ["' OR 1=1 --", "\xff\xfe\x80", "\xc3\x28", "%s%n", "x" * 30_000])
async def test_u5_weird_bytes_are_just_wrong(client: Client, token: str) -> None:
    headers = [("Host", "localhost"), ("Authorization", f"Bearer {token}")]
    assert status(await asked(client, "POST /notes", headers)) == 401


async def test_u6_the_token_is_in_no_answer_and_no_log(
    client: Client, authorized: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        for path in ("/things", "/notes", "/broken", "/none"):
            response = await client.post(path, headers=authorized, content=b"{")
            assert TOKEN not in response.text + str(response.headers)
        await client.get("/broken", headers=authorized)
    assert TOKEN not in caplog.text


# -- in process: every policy, without a server -----------------------------------------------------------

HOST, OTHER_HOST = (b"host", b"127.0.0.1:8080"), (b"host", b"models.example.com")
BEARER = (b"authorization", b"Bearer " + TOKEN.encode())
DUMMY = (b"authorization", b"Bearer sk-dummy")
PROXIED = (b"x-forwarded-for", b"192.0.2.1")

READ, LIST, CHAT, WRITE, OWN = (
    ("GET", "/models"), ("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/models/activate"),
    ("GET", "/tokens/current"),
)  # fmt: skip


def let_in(auth: Auth, asked: tuple[str, str], *headers: tuple[bytes, bytes]) -> Any:
    """The name of who was let in, or the status of the refusal."""
    try:
        return auth.identify(headers, *asked, "192.0.2.7").name
    except Exception as error:
        return error.status  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("loopback", "reads", "headers", "read", "listing", "chat"),
    [
        (True, "auto", (HOST,), "anonymous", "anonymous", "anonymous"),
        (True, "auto", (HOST, DUMMY), "anonymous", "anonymous", "anonymous"),
        (True, "auto", (HOST, BEARER), "admin", "admin", "admin"),
        (True, "auto", (HOST, PROXIED), 401, 401, 401),
        (True, "auto", (OTHER_HOST,), 421, 421, 421),
        (True, "token", (HOST,), 401, 401, 401),
        (True, "open", (HOST,), "anonymous", "anonymous", "anonymous"),
        (True, "open", (HOST, PROXIED), "anonymous", "anonymous", 401),
        (False, "auto", (HOST,), 401, 401, 401),
        (False, "auto", (OTHER_HOST,), 401, 401, 401),
        (False, "auto", (OTHER_HOST, DUMMY), 401, 401, 401),
        (False, "auto", (OTHER_HOST, BEARER), "admin", "admin", "admin"),
        (False, "token", (HOST,), 401, 401, 401),
        (False, "open", (OTHER_HOST,), "anonymous", "anonymous", 401),
        (False, "open", (OTHER_HOST, DUMMY), "anonymous", "anonymous", 401),
        (False, "open", (HOST, PROXIED), "anonymous", "anonymous", 401),
    ],
)
def test_u1_what_needs_no_token(
    loopback: bool, reads: Any, headers: Any, read: Any, listing: Any, chat: Any
) -> None:
    auth = Auth(Keyring(TOKEN), loopback=loopback, reads=reads)
    assert [let_in(auth, asked, *headers) for asked in (READ, LIST, CHAT)] == [read, listing, chat]
    assert let_in(auth, ("GET", "/healthz"), *headers) == "anonymous"
    closed = read if read in ("admin", 421) else 401
    assert [let_in(auth, asked, *headers) for asked in (WRITE, OWN)] == [closed, closed]


def test_u1_without_any_token_nothing_can_be_changed() -> None:
    auth = Auth(Keyring(), loopback=True)
    for headers in ((HOST,), (HOST, BEARER), (HOST, (b"authorization", b"Bearer"))):
        assert let_in(auth, WRITE, *headers) == 401


def test_behind_a_name_that_is_allowed_loopback_is_not_open() -> None:
    """A proxy on the same machine reaches us on loopback, for whoever reaches it."""
    auth = Auth(Keyring(TOKEN), loopback=True, allowed_hosts=["models.example.com"])
    assert let_in(auth, READ, OTHER_HOST) == 401
    assert let_in(auth, READ, HOST) == "anonymous"


def two_tokens() -> Keyring:
    keyring = Keyring(TOKEN)
    for name, scope in (("r", "read"), ("c", "chat")):
        identity = Identity(name=f"token:{name}", scope=scope)  # type: ignore[arg-type]
        keyring.add(sha256(name.encode()).digest(), identity)
    return keyring


def test_two_right_tokens_of_two_identities_are_refused() -> None:
    auth = Auth(two_tokens(), loopback=False)
    headers = (HOST, (b"authorization", b"Bearer r"), (b"x-api-key", b"c"))
    with pytest.raises(Exception, match="two different tokens"):
        auth.identify(headers, *LIST)
    assert auth.identify((HOST, (b"authorization", b"r"), (b"x-api-key", b"r")), *LIST).name == "token:r"


def test_u11_a_refusal_names_the_scope_needed_and_the_one_held() -> None:
    auth = Auth(two_tokens(), loopback=False)
    with pytest.raises(Exception, match="needs a token of scope admin; token:r has scope read"):
        auth.identify((HOST, (b"authorization", b"r")), *WRITE)
    with pytest.raises(Exception, match="needs a token of scope chat or admin; token:r has scope read"):
        auth.identify((HOST, (b"authorization", b"r")), *CHAT)
    with pytest.raises(Exception, match="needs a token of scope read or admin"):
        auth.identify((HOST,), *READ)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET"])
def test_u11_a_chat_token_reads_nothing_of_the_management_api(method: str) -> None:
    auth = Auth(two_tokens(), loopback=False)
    assert let_in(auth, (method, "/models"), HOST, (b"x-api-key", b"c")) == 403


# -- guessing ---------------------------------------------------------------------------------------------


def test_u9_guessing_is_stopped_but_not_for_who_was_there_before() -> None:
    auth = Auth(two_tokens(), Failures(), loopback=False)

    def ask(token: str, client: str = "192.0.2.7", asked: tuple[str, str] = LIST) -> Any:
        try:
            return auth.identify((HOST, (b"authorization", token.encode())), *asked, client).name
        except Exception as error:
            return error.status  # type: ignore[attr-defined]

    assert ask("r") == "token:r"
    assert [ask(f"guess-{number}") for number in range(12)] == [401] * 10 + [429] * 2
    assert ask("r") == "token:r"
    assert ask("c") == 429  # right, but not known to be this client's: or one could go on guessing
    assert ask("c", client="192.0.2.8") == "token:c"
    assert ask("guess", asked=("GET", "/healthz")) == "anonymous"
    with pytest.raises(Exception, match="Too many wrong tokens") as refusal:
        auth.identify((HOST, (b"authorization", b"guess")), *LIST, "192.0.2.7")
    assert 0 < refusal.value.data["retry_after"] <= 60  # type: ignore[attr-defined]


def test_u9_what_needs_no_token_is_open_to_a_blocked_client_as_to_all() -> None:
    auth = Auth(two_tokens(), loopback=True)
    for _ in range(11):
        let_in(auth, WRITE, HOST, DUMMY)
    assert let_in(auth, WRITE, HOST, DUMMY) == 429
    assert let_in(auth, CHAT, HOST, DUMMY) == "anonymous"
    assert let_in(auth, WRITE, HOST) == 401


def test_u9_dummy_keys_where_none_is_needed_are_no_failures() -> None:
    auth = Auth(Keyring(TOKEN), loopback=True)
    for _ in range(50):
        assert let_in(auth, CHAT, HOST, DUMMY) == "anonymous"
    assert let_in(auth, WRITE, HOST, DUMMY) == 401


async def test_u9_the_answer_says_when_to_come_back(client: Client) -> None:
    headers = {"authorization": "Bearer guess"}
    answers = [await client.post("/notes", headers=headers) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["code"] == "too_many_requests"


# -- web pages --------------------------------------------------------------------------------------------

OUR = "127.0.0.1:8080"
PAGES = [
    (OUR, None, 200),
    (OUR, f"http://{OUR}", 200),
    (OUR, "https://ui.example.com", 200),
    # a name of the attacker's that leads to 127.0.0.1, and pages of other origins
    ("evil.example:8080", None, 421),
    ("evil.example:8080", "http://evil.example:8080", 421),
    ("evil.example:8080", "https://ui.example.com", 421),
    (OUR, "http://evil.example", 403),
    (OUR, "http://localhost:3000", 403),
    (OUR, "null", 403),
    (OUR, "", 403),
    ("evil.example@127.0.0.1", None, 400),
    ("", None, 400),
]


@pytest.mark.parametrize(("host", "origin", "expected"), PAGES)
@pytest.mark.parametrize("line", ["GET /things", "POST /v1/ask", "POST /notes"])
async def test_h5a_a_web_page_from_elsewhere_reads_nothing_asks_nothing_and_changes_nothing(
    listed: Client, line: str, host: str, origin: str | None, expected: int
) -> None:
    headers = [("Host", host), *([("Origin", origin)] if origin is not None else [])]
    with_token = [*headers, ("Authorization", f"Bearer {RIGHT}")]
    assert status(await asked(listed, line, with_token)) == expected
    without = status(await asked(listed, line, headers))
    assert without == (401 if expected == 200 and line == "POST /notes" else expected)


async def test_h5a_what_kubelets_and_scrapers_ask_is_answered_under_any_name(listed: Client) -> None:
    for host in ("10.1.2.3:8080", "evil.example", ""):
        assert status(await asked(listed, "GET /healthz", [("Host", host), ("Origin", "null")])) == 200


async def test_h5a_two_hosts_are_not_better_than_one(client: Client) -> None:
    headers = [("Host", "127.0.0.1"), ("Host", "evil.example")]
    assert status(await asked(client, "GET /things", headers)) == 400


@pytest.fixture
async def listed():  # type: ignore[no-untyped-def]
    """A service that lets the pages of one other origin ask it."""
    auth = Auth(Keyring(TOKEN), loopback=True, cors_origins=["https://ui.example.com"])
    app = application([route.bound("") for route in ROUTES], version="1", auth=auth, closing=asyncio.Event())
    async with serving(app) as client:
        yield client
