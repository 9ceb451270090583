"""Requests in, typed answers out; and every way in which a request can be wrong."""

import json
import logging

import httpx2
import pytest

from model_manager.http.parsing import BODY_LIMIT
from model_manager.http.problems import MEDIA_TYPE
from model_manager.http.routing import Route
from tests.http.live import TOKEN, raw

Client = httpx2.AsyncClient


def problem(response: httpx2.Response, status: int) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body = response.json()
    assert {"type", "title", "status", "detail", "instance", "error", "code", "hint", "request_id"} <= set(
        body
    )
    assert body["error"] == body["detail"]
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_path_query_and_context_reach_the_handler(client: Client) -> None:
    response = await client.get("/things?limit=3&newest=false&kinds=a&kinds=b")
    assert response.json() == [{"name": "3", "ofContext": "here", "items": ["False", "a", "b"]}]
    assert (await client.get("/things/a/b%20c/info")).json()["name"] == "a/b c"


async def test_body_status_and_headers(client: Client, authorized: dict[str, str]) -> None:
    response = await client.post("/things", json={"id": "x", "maxLen": 3}, headers=authorized)
    assert (response.status_code, response.headers["location"]) == (202, "/things/x")
    assert response.json() == {"name": "x", "ofContext": "", "items": []}


@pytest.mark.parametrize(("body", "name"), [(b"", "nothing"), (b'{"text":"hi"}', "hi")])
async def test_optional_body(client: Client, authorized: dict[str, str], body: bytes, name: str) -> None:
    assert (await client.post("/notes", content=body, headers=authorized)).json()["name"] == name


async def test_encoded_bytes_pass_as_they_are(client: Client) -> None:
    response = await client.get("/encoded")
    assert (response.content, response.headers["content-type"]) == (b"[]", "application/json")


async def test_head_is_get_without_a_body(client: Client) -> None:
    got, head = await client.get("/things"), await client.head("/things")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_wrong_method_names_the_right_ones(client: Client, authorized: dict[str, str]) -> None:
    response = await client.delete("/things", headers=authorized)
    assert problem(response, 405)["hint"] == "Possible: GET, HEAD, OPTIONS, POST."
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await client.options("/things")).headers["allow"] == response.headers["allow"]


async def test_errors_become_problems_with_their_facts(client: Client) -> None:
    body = problem(await client.get("/conflict"), 409)
    assert (body["error"], body["hint"], body["code"]) == ("It is taken.", "Take another.", "conflict")
    assert (body["title"], body["instance"], body["data"]) == ("Conflict", "/conflict", {"by": ["a", "b"]})


async def test_a_defect_tells_its_cause_to_the_log_only(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await client.get("/broken")
    body = problem(response, 500)
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert body["request_id"] in body["hint"]
    assert body["request_id"] in caplog.text
    assert "the secret cause" in caplog.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=-1", "limit"),
        ("limit=0", "limit"),
        ("limit=1000000000000000000", "limit"),
        ("limit=NaN", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%00", "limit"),
        ("limit=1&limit=2", "limit"),
        ("newest=maybe", "newest"),
        ("lmit=3", "lmit"),
        ("=3", ""),
    ],
)
async def test_h10a_extremes_in_the_query_are_refused(client: Client, query: str, field: str) -> None:
    body = problem(await client.get(f"/things?{query}"), 422)
    assert body["data"]["field"] == field


async def test_h10a_a_query_with_endless_fields_is_refused(client: Client) -> None:
    problem(await client.get("/things?" + "kinds=a&" * 1000), 422)


async def test_unknown_query_names_get_a_guess(client: Client) -> None:
    assert problem(await client.get("/things?lmit=3"), 422)["hint"] == "Did you mean `limit`?"
    assert problem(await client.get("/things/a/info?limit=3"), 422)["error"] == (
        "The query has an unknown field `limit`."
    )


NESTED = b'{"id":' + b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "not JSON"),
        (b'{"id":"x"} {}', 400, "not JSON"),
        (b"\xef\xbb\xbf{}", 400, "not JSON"),
        (b'{"id":"\xff"}', 400, "not UTF-8"),
        (b'{"id":"\\ud800"}', 400, "not JSON"),
        (b'{"id":"x","maxLen":NaN}', 400, "not JSON"),
        (NESTED, 422, "`id`"),
        (b"[]", 422, "expected `object`"),
        (b"null", 422, "expected `object`"),
        (b"{}", 422, "lacks the field `id`"),
        (b'{"id":1}', 422, "`id` in the body is wrong: expected `str`, got `int`"),
        (b'{"id":"x","id":"y"}', 422, "`id` in the body is given more than once"),
        (b'{"id":"x","parts":[{"fileName":"a"},{"fileName":2}]}', 422, "`parts[1].fileName`"),
        (b'{"id":"x","parts":[{"fileName":"a","fileName":"b"}]}', 422, "more than once"),
        (b'{"id":"x","parts":[{}]}', 422, "`parts[0].fileName`"),
        (b'{"id":"x","parts":[{"fileName":"a","b":1}]}', 422, "`parts[0].b`"),
        (b'{"id":"x","maxLen":-1}', 422, "`maxLen`"),
        (b'{"id":"x","maxLen":1e400}', 422, "`maxLen`"),
        (b'{"id":"x","maxLen":' + b"9" * 5000 + b"}", 422, "`maxLen`"),
        (b'{"id":"x","maxlen":1}', 422, "unknown field `maxlen`"),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_h12a_wrong_bodies(
    client: Client, authorized: dict[str, str], body: bytes, status: int, says: str
) -> None:
    response = await client.post("/things", content=body, headers=authorized)
    assert says in problem(response, status)["error"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (b"9" * 5000, 422),
        (b"1e999999", 422),
        (b"[" * 500 + b"]" * 500, 200),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a":1,"a":2}', 422),
    ],
    ids=["long number", "large number", "nested", "nested too deeply", "duplicate"],
)
async def test_h12a_untyped_parts_of_bodies(
    client: Client, authorized: dict[str, str], more: bytes, status: int
) -> None:
    response = await client.post("/notes", content=b'{"more":' + more + b"}", headers=authorized)
    assert response.status_code == status, response.text


async def test_unknown_body_fields_get_a_guess(client: Client, authorized: dict[str, str]) -> None:
    response = await client.post("/things", json={"id": "x", "maxlen": 1}, headers=authorized)
    assert problem(response, 422)["hint"] == "Did you mean `maxLen`?"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=UTF-8", 202),
        ("Application/JSON", 202),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("", 415),
    ],
)
async def test_h12a_wrong_content_types(
    client: Client, authorized: dict[str, str], content_type: str, status: int
) -> None:
    headers = {**authorized, "content-type": content_type}
    response = await client.post("/things", content=b'{"id":"x"}', headers=headers)
    assert response.status_code == status
    if status == 415:
        problem(response, 415)


def post(*headers: str, body: bytes = b"") -> bytes:
    head = ["POST /things HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(f"Content-Length: {BODY_LIMIT + 1}"), 413),
        (post("Content-Length: 1000000000000"), 413),
        (post("Content-Length: -1", "Connection: close"), 400),
        (post("Content-Length: ten", "Connection: close"), 400),
        (post("Transfer-Encoding: chunked", body=(b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 17), 413),
    ],
    ids=["one byte over", "1 TB announced", "negative", "not a number", "endless chunks"],
)
async def test_h1a_bodies_over_the_limit(
    client: Client, request_: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered without waiting for the rest, and the connection is closed on it."""
    monkeypatch.setattr("model_manager.http.protocol.LINGER", 0.1)
    answer = await raw(client, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"%d" % status
    if status == 413:
        assert json.loads(body)["data"] == {"limit": BODY_LIMIT}


async def test_h1a_a_body_of_exactly_the_limit_is_read(client: Client, authorized: dict[str, str]) -> None:
    body = b'{"id":"' + b"x" * (BODY_LIMIT - 9) + b'"}'
    assert (await client.post("/things", content=body, headers=authorized)).status_code == 202


PATHS = [
    "//healthz", "/./healthz", "/healthz/", "/healthz.", "/healthz;x=1", "/%2e%2e/healthz", "/x/..%2fhealthz",
    "/HEALTHZ", "/healthz%00", "/healthz%0a", "/things/../healthz", "/%ff%fe", "/healthz%2f",
    "/\u2025/healthz",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_h7a_one_spelling_or_not_found(client: Client, path: str) -> None:
    answer = await raw(
        client, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.split(b" ", 2)[1] in (b"404", b"400")


async def test_h7a_no_method_override(client: Client) -> None:
    response = await client.get("/things", headers={"x-http-method-override": "DELETE"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-DEF-123", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a%0d%0aSet-Cookie: b", False),
        ("'; DROP TABLE jobs; --", False),
        ("${jndi:ldap://x}", False),
    ],
)
async def test_h8a_request_ids_are_regenerated_unless_harmless(
    client: Client, given: str, kept: bool
) -> None:
    response = await client.get("/healthz", headers={"x-request-id": given})
    assert (response.headers["x-request-id"] == given) is kept
    assert response.headers["x-request-id"]
    assert len(response.headers.get_list("x-request-id")) == 1


async def test_h11a_made_up_paths_share_one_label(
    client: Client, authorized: dict[str, str], seen: list[tuple[str, str | None, int]]
) -> None:
    for number in range(20):
        await client.get(f"/no/{number}")
    await client.request("TRACE", "/healthz", headers=authorized)
    await client.get("/things/a/info")
    await client.get("/things/b/info")
    assert set(seen) == {
        ("GET", None, 404),
        ("TRACE", "/healthz", 405),
        ("GET", "/things/{name}/info", 200),
    }


async def test_a_handler_whose_parameters_come_from_nowhere_is_refused() -> None:
    async def handler(_: str, nmae: str) -> None: ...

    with pytest.raises(TypeError, match=r"\['name', 'nmae'\]"):
        _ = Route("GET", "/things/{name}", handler).signature
