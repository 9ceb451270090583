"""Issued tokens in the state file: created once, hashed, listed, revoked, and known again after a restart."""

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest

from model_manager.errors import Conflict, NotFound
from model_manager.events import Event, EventLog
from model_manager.state.database import Database
from model_manager.tokens import TokenInfo, Tokens
from tests.tokens.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(database: Database, events: EventLog, clock: Clock) -> Tokens:
    return Tokens(database, events, static="the-static-token", clock=clock)


async def restarted(database: Database, events: EventLog, clock: Clock) -> Tokens:
    again = Tokens(database, events, clock=clock)
    await again.load()
    return again


async def told(events: EventLog) -> list[Event]:
    return await events.page()


async def test_a_token_works_at_once_and_after_a_restart(
    tokens: Tokens, database: Database, events: EventLog, clock: Clock
) -> None:
    created = await tokens.create("ci", "chat", models=["demo", "two"], expires_in=60, actor="admin")
    assert created.secret.startswith("mm_")
    assert len(created.secret) == 46
    for known in (tokens, await restarted(database, events, clock)):
        found = known.keyring.identify(created.secret.encode())
        assert found is not None
        assert (found.name, found.scope, found.models) == ("token:ci", "chat", frozenset({"demo", "two"}))
        assert found.expires_at == clock.now + 60
    [event] = await told(events)
    assert (event.kind, event.subject, event.actor) == ("token_created", "ci", "admin")
    assert event.data == {
        "id": created.info.id, "name": "ci", "scope": "chat", "models": ["demo", "two"],
        "expiresAt": "2023-11-14T22:14:20.000Z",
    }  # fmt: skip


async def test_u6_only_a_hash_of_the_secret_is_kept(tokens: Tokens, database: Database) -> None:
    created = await tokens.create("ci", "read", actor="admin")
    await database.aclose()
    content = b"".join(path.read_bytes() for path in database.path.parent.iterdir() if path.is_file())
    assert created.secret.encode() not in content
    assert created.secret.removeprefix("mm_").encode() not in content
    assert sha256(created.secret.encode()).digest() in content


async def test_a_revoked_token_is_refused_at_once_and_after_a_restart(
    tokens: Tokens, database: Database, events: EventLog, clock: Clock
) -> None:
    first = await tokens.create("one", "read", actor="admin")
    second = await tokens.create("two", "read", actor="admin")
    identity = tokens.keyring.identify(first.secret.encode())
    assert identity is not None
    assert (await tokens.revoke(first.info.id, "token:boss")).state == "revoked"
    assert (await tokens.revoke("two", "token:boss")).state == "revoked"
    assert identity.ended.is_set()
    for known in (tokens, await restarted(database, events, clock)):
        for created in (first, second):
            assert known.keyring.identify(created.secret.encode()) is None
            assert "was revoked" in known.keyring.why_not(created.secret.encode())
    await tokens.revoke("two", "admin")
    kinds = [(event.kind, event.subject, event.actor) for event in await told(events)][2:]
    assert kinds == [("token_revoked", "one", "token:boss"), ("token_revoked", "two", "token:boss")]


async def test_what_was_never_issued_cannot_be_revoked(tokens: Tokens) -> None:
    with pytest.raises(NotFound, match="no token 'nobody'"):
        await tokens.revoke("nobody", "admin")


async def test_a_name_is_free_again_when_its_token_has_ended(tokens: Tokens, clock: Clock) -> None:
    first = await tokens.create("ci", "read", expires_in=10, actor="admin")
    with pytest.raises(Conflict, match="a token 'ci' already"):
        await tokens.create("ci", "admin", actor="admin")
    clock.now += 10
    second = await tokens.create("ci", "admin", actor="admin")
    assert tokens.keyring.identify(first.secret.encode()) is None
    await tokens.revoke("ci", "admin")
    third = await tokens.create("ci", "chat", actor="admin")
    assert await names(tokens) == ["ci"]
    assert tokens.keyring.identify(second.secret.encode()) is None
    assert tokens.keyring.identify(third.secret.encode()) is not None


async def names(tokens: Tokens) -> list[str]:
    return [info.name for info in (await tokens.page(100))[0]]


async def test_the_list_is_paged_newest_first(tokens: Tokens) -> None:
    for name in ("a", "b", "c"):
        await tokens.create(name, "read", actor="admin")
    page, rest = await tokens.page(2)
    assert [info.name for info in page] == ["c", "b"]
    page, rest = await tokens.page(2, rest)
    assert ([info.name for info in page], rest) == (["a"], None)


async def test_the_last_use_is_listed_at_once_and_written_now_and_then(
    tokens: Tokens, database: Database, events: EventLog, clock: Clock
) -> None:
    created = await tokens.create("ci", "read", actor="admin")
    assert (await only(tokens)).last_used is None
    clock.now += 5
    tokens.keyring.identify(created.secret.encode())
    seen = "2023-11-14T22:13:25.000Z"
    assert (await only(tokens)).last_used == seen
    assert (await only(await restarted(database, events, clock))).last_used is None
    await tokens.write_seen()
    assert (await only(await restarted(database, events, clock))).last_used == seen
    with closing(sqlite3.connect(database.path)) as onlooker:
        before = version(onlooker)
        await tokens.write_seen()
        assert version(onlooker) == before


def version(onlooker: sqlite3.Connection) -> int:
    """A number that differs when another connection has written since."""
    [number] = onlooker.execute("PRAGMA data_version").fetchone()
    return int(number)


async def only(tokens: Tokens) -> TokenInfo:
    [info] = (await tokens.page(10))[0]
    return info


async def test_u9_failures_are_told_by_client_with_a_count(tokens: Tokens, events: EventLog) -> None:
    for _ in range(25):
        tokens.failures.failed("192.0.2.1")
    tokens.failures.failed("192.0.2.2")
    await tokens.write_seen()
    await tokens.write_seen()
    assert [(event.kind, event.subject, event.data["count"]) for event in await told(events)] == [
        ("token_refused", "192.0.2.1", 25), ("token_refused", "192.0.2.2", 1)
    ]  # fmt: skip
