"""`/tokens`: issuing, listing and revoking, what becomes of open streams, and that no secret is kept anywhere."""

import asyncio
import logging
from typing import Any

import httpx2
import pytest

from model_manager import logs
from tests.house import House
from tests.waiting import until
from tests.web.asking import problem

Client = httpx2.AsyncClient


async def issue(client: Client, name: str = "ci", scope: str = "read", **more: Any) -> dict[str, Any]:
    response = await client.post("/tokens", json={"name": name, "scope": scope, **more})
    assert response.status_code == 201, response.text
    issued: dict[str, Any] = response.json()
    return issued


def bearer(issued: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {issued['token']}"}


async def test_a_token_is_issued_shown_once_and_good_at_once(client: Client) -> None:
    response = await client.post(
        "/tokens", json={"name": "ci", "scope": "chat", "models": ["demo"], "expires": "30d"}
    )
    issued = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    secret = issued.pop("token")
    assert secret.startswith("mm_")
    assert (issued["state"], issued["createdBy"], issued["lastUsed"], issued["revokedAt"]) == (
        "valid",
        "admin",
        None,
        None,
    )
    listed = (await client.get("/tokens")).json()
    assert listed == {"tokens": [issued], "next": None}
    current = await client.get("/tokens/current", headers={"authorization": f"Bearer {secret}"})
    assert current.json() == {
        "name": "token:ci", "scope": "chat", "models": ["demo"], "expiresAt": issued["expiresAt"]
    }  # fmt: skip
    assert (await client.get("/tokens")).json()["tokens"][0]["lastUsed"] is not None


async def test_the_static_token_is_the_administrators(client: Client) -> None:
    assert (await client.get("/tokens/current")).json() == {
        "name": "admin", "scope": "admin", "models": None, "expiresAt": None
    }  # fmt: skip


async def test_the_list_is_paged(client: Client) -> None:
    for name in ("a", "b", "c"):
        await issue(client, name)
    first = (await client.get("/tokens?limit=2")).json()
    rest = (await client.get("/tokens", params={"limit": 2, "cursor": first["next"]})).json()
    assert [token["name"] for token in first["tokens"] + rest["tokens"]] == ["c", "b", "a"]
    assert rest["next"] is None


WRONG = [
    ({"name": "ci"}, "scope"),
    ({"name": "ci", "scope": "root"}, "scope"),
    ({"name": "", "scope": "read"}, "name"),
    ({"name": "a/b", "scope": "read"}, "name"),
    ({"name": "a\n", "scope": "read"}, "name"),
    ({"name": "current", "scope": "read"}, "name"),
    ({"name": "x" * 64, "scope": "read"}, "name"),
    ({"name": "ci", "scope": "read", "models": ["demo"]}, "models"),
    ({"name": "ci", "scope": "chat", "models": []}, "models"),
    ({"name": "ci", "scope": "chat", "models": [""]}, "models[0]"),
    ({"name": "ci", "scope": "read", "expires": 0}, "expires"),
    ({"name": "ci", "scope": "read", "expires": -1}, "expires"),
    ({"name": "ci", "scope": "read", "expires": "0d"}, "expires"),
    ({"name": "ci", "scope": "read", "expires": "30"}, "expires"),
    ({"name": "ci", "scope": "read", "expires": "9999w"}, "expires"),
    ({"name": "ci", "scope": "read", "expires": 10**18}, "expires"),
    ({"name": "ci", "scope": "read", "token": "mine"}, "token"),
]


async def test_a_wrong_wish_is_refused_with_its_field(client: Client) -> None:
    for body, field in WRONG:
        refused = problem(await client.post("/tokens", json=body), 422)
        assert refused["data"]["field"] == field, body
    assert (await client.get("/tokens")).json()["tokens"] == []


async def test_a_name_is_taken_once_until_its_token_is_revoked(client: Client) -> None:
    first = await issue(client)
    problem(await client.post("/tokens", json={"name": "ci", "scope": "read"}), 409, "conflict")
    revoked = (await client.delete(f"/tokens/{first['id']}")).json()
    assert (revoked["state"], revoked["id"]) == ("revoked", first["id"])
    assert (await issue(client))["id"] != first["id"]
    problem(await client.delete("/tokens/nobody"), 404, "not_found")


async def test_a_revoked_token_is_told_so(client: Client) -> None:
    issued = await issue(client)
    assert (await client.get("/tokens/current", headers=bearer(issued))).status_code == 200
    await client.delete("/tokens/ci")
    refused = problem(await client.get("/tokens/current", headers=bearer(issued)), 401, "unauthorized")
    assert refused["detail"] == "token:ci was revoked."


async def test_the_actor_is_in_every_event(client: Client) -> None:
    admin = await issue(client, "boss", "admin")
    await client.post("/tokens", json={"name": "other", "scope": "read"}, headers=bearer(admin))
    await client.post("/models/activate", json={"id": "demo"}, headers=bearer(admin))
    await client.delete("/tokens/boss")
    await client.post("/models/deactivate", json={})
    events = (await client.get("/history")).json()["events"]
    actors = {event["event"]: event["actor"] for event in reversed(events)}
    assert actors["token_created"] == actors["activation_queued"] == "token:boss"
    assert actors["token_revoked"] == actors["model_deactivated"] == "admin"


@pytest.mark.parametrize("path", ["/events", "/slots/active-llm/logs"])
@pytest.mark.parametrize("way", ["revoked", "expired"])
async def test_u4_an_open_stream_ends_with_its_token(
    house: House, client: Client, way: str, path: str
) -> None:
    issued = await issue(client, expires=1 if way == "expired" else None)
    headers = {"accept": "text/event-stream", **bearer(issued)}
    async with client.stream("GET", path, headers=headers) as stream, asyncio.timeout(5):
        assert stream.status_code == 200
        if way == "revoked":
            await client.delete("/tokens/ci")
        async for _ in stream.aiter_raw():
            pass


async def test_u6_no_secret_is_in_the_logs_the_events_or_the_state(
    house: House, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        issued = await issue(client)
        secret = issued["token"]
        for headers in (bearer(issued), {"x-api-key": secret}, {"authorization": f"Bearer {secret}x"}):
            for path in ("/models", f"/models/{secret}", "/nowhere", "/tokens", "/tokens/current"):
                await client.get(path, headers=headers)
        await client.delete("/tokens/ci")
        await client.get("/tokens/current", headers=bearer(issued))
        await house.parts.tokens.write_seen()
    shown = [logs.redact(record.getMessage()) for record in caplog.records]
    assert [line for line in shown if secret in line] == []
    for path in ("/history", "/events", "/tokens", "/settings"):
        assert secret not in (await client.get(path)).text
    assert secret.encode() not in (await client.get("/support-bundle")).content
    state = house.settings.state_path
    kept = [path for path in state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []


async def test_u9_refused_tokens_are_one_event_with_a_count(house: House, client: Client) -> None:
    for _ in range(7):
        await client.get("/tokens/current", headers={"authorization": "Bearer guess"})
    await house.parts.tokens.write_seen()
    [event] = (await client.get("/history?event=token_refused")).json()["events"]
    assert (event["subject"], event["metadata"]) == ("127.0.0.1", {"client": "127.0.0.1", "count": 7})


async def test_u10_the_static_token_is_exchanged_while_the_service_runs(house: House, client: Client) -> None:
    path = house.settings.state_path / "token"
    assert path.read_text().strip() == house.service.token
    path.write_text("another-token-of-the-operator\n")
    fresh = {"authorization": "Bearer another-token-of-the-operator"}

    async def known() -> bool:
        return (await client.get("/tokens/current", headers=fresh)).status_code == 200

    house.parts.tokens.failures.limit = 10_000
    await until(known, timeout=5, every=0.2)
    assert (await client.get("/tokens/current")).status_code == 401


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"scope": "chta"}, "One of: admin, chat, read."),
        ({"expires": "30"}, "A number with its unit (s, m, h, d or w), such as 30d."),
        ({"name": "a b"}, "A name is up to 63 letters, digits, `.`, `_` and `-`, such as my-app."),
    ],
)
async def test_what_a_field_takes_is_said_in_words(client: Client, wrong: dict[str, str], hint: str) -> None:
    found = problem(await client.post("/tokens", json={"name": "ci", "scope": "chat"} | wrong), 422)
    assert found["hint"] == hint
    assert "regex" not in found["detail"]
