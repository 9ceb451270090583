"""Two services on one volume and one namespace, as processes of their own, against the fake API server."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from model_manager.serving.kserve.lease import seen_in
from tests.house import write_catalog
from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_store import Key
from tests.serving.kserve.services import Service, Silent, service, silent
from tests.waiting import until

KEY: Key = ("leases", "default", "model-manager-active-llm")


PATIENCE = 40.0
"""Seconds for a process to start on a machine that has much else to do."""

Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start(api: FakeApi, tmp_path: Path) -> AsyncIterator[Start]:
    """Services that share state, weights and cluster."""
    write_catalog(tmp_path / "catalog", {"a": "well"})
    server = {"clusters": [{"name": "fake", "cluster": {"server": api.url}}]}
    user = {"users": [{"name": "me", "user": {"token": "mine"}}]}
    context = {"contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}]}
    (tmp_path / "kubeconfig").write_text(json.dumps({**server, **user, **context, "current-context": "fake"}))
    async with AsyncExitStack() as stack:

        async def begin(name: str, **settings: Any) -> Service:
            return await stack.enter_async_context(
                service(tmp_path, name, {"namespace": "default", **settings})
            )

        yield begin


@pytest.fixture
async def hub() -> AsyncIterator[Silent]:
    async with silent() as server:
        yield server


def holder(api: FakeApi) -> str:
    return seen_in(api.store.get(KEY)).holder


async def test_who_waits_says_that_it_lives_and_touches_nothing(
    api: FakeApi, start: Start, tmp_path: Path
) -> None:
    api.store.put(KEY, {"spec": {"holderIdentity": "another", "leaseTransitions": 6, "renewTime": "then"}})
    waiting = await start("waiting")
    await until(lambda: waiting.answers("/healthz", 200), PATIENCE)
    ready = await waiting.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["reasons"] == [
        "This service waits for its turn: another has the lease model-manager-active-llm now."
    ]
    for path in ("/", "/slots", "/metrics", "/models/activate"):
        refused = await waiting.get(path)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), path
        assert refused.headers["retry-after"] == "2"
    chat = await waiting.get("/v1/models")
    assert (chat.status_code, chat.json()["error"]["type"]) == (503, "server_error")
    assert chat.headers["retry-after"] == "2"
    assert not (tmp_path / "state" / "state.db").exists()

    await until(lambda: seen_in(api.store.get(KEY)).asked_by)
    api.store.merge(KEY, {"spec": {"holderIdentity": None}}, "another")
    await until(waiting.works, PATIENCE)
    assert seen_in(api.store.get(KEY)).token == 7
    assert await waiting.ends() == 0
    assert holder(api) == ""

    api.store.delete(KEY)
    again = await start("again")
    await until(again.works, PATIENCE)
    assert seen_in(api.store.get(KEY)).token == 8, "above what the state has met, although the lease is new"


async def test_one_that_was_overtaken_stops_working(api: FakeApi, start: Start) -> None:
    old = await start("old")
    await until(old.works, PATIENCE)
    api.store.merge(KEY, {"spec": {"holderIdentity": "another", "renewTime": "now"}}, "another")
    await until(lambda: old.answers("/slots", 503), PATIENCE)
    assert (await old.get("/readyz")).json()["status"] == "not_ready"
    assert holder(api) == "another"


async def test_who_is_told_to_stop_while_it_waits_just_ends(api: FakeApi, start: Start) -> None:
    api.store.put(KEY, {"spec": {"holderIdentity": "another", "leaseTransitions": 6, "renewTime": "then"}})
    waiting = await start("waiting")
    await until(lambda: waiting.answers("/healthz", 200), PATIENCE)
    assert await waiting.ends() == 0
    assert holder(api) == "another"


async def test_one_that_cannot_open_the_state_asks_nobody_for_it(
    api: FakeApi, start: Start, tmp_path: Path
) -> None:
    """As when an older version is rolled out again."""
    api.store.put(KEY, {"spec": {"holderIdentity": "another", "leaseTransitions": 6, "renewTime": "then"}})
    (tmp_path / "state").mkdir()
    newer = sqlite3.connect(tmp_path / "state" / "state.db")
    newer.execute("PRAGMA journal_mode = WAL")
    newer.execute("PRAGMA user_version = 99")
    old = await start("old")
    assert await asyncio.wait_for(old.process.wait(), PATIENCE) != 0
    assert "has schema 99, written by a newer version" in (tmp_path / "old.log").read_text()
    assert seen_in(api.store.get(KEY)).asked_by == ""
    newer.close()


async def test_without_the_right_to_the_lease_it_is_not_ready_and_says_why(
    api: FakeApi, start: Start
) -> None:
    api.forbid("get", "leases")
    waiting = await start("waiting")
    await until(lambda: waiting.answers("/readyz", 503), PATIENCE)
    assert "may not get leases" in (await waiting.get("/readyz")).json()["reasons"][0]
    assert (await waiting.get("/healthz")).status_code == 200


async def test_the_work_is_handed_over_and_comes_back(api: FakeApi, start: Start, hub: Silent) -> None:
    """With a download under way: its job waits for the new service, which goes on with it."""
    old = await start("old", hub_endpoint=hub.url)
    await until(old.works, PATIENCE)
    job = (await old.post("/weights/install", {"hfModelId": "owner/model"}))["job"]["id"]
    await until(lambda: hub.asked == 1, PATIENCE)

    new = await start("new", hub_endpoint=hub.url)
    await until(lambda: new.answers("/healthz", 200), PATIENCE)
    begun = time.monotonic()
    await until(new.works, PATIENCE)
    assert time.monotonic() - begun < 10
    assert (await old.get("/readyz")).status_code == 503
    assert (await old.get("/slots")).headers["retry-after"] == "2"
    assert holder(api) and old.process.returncode is None

    told = (await new.get("/system/info")).json()["lease"]
    assert told == {"namespace": "default", "name": KEY[2], "holder": holder(api), "token": 2}

    await until(lambda: hub.asked == 2, PATIENCE)
    found = (await new.get(f"/jobs/{job}")).json()
    assert (found["status"], found.get("error")) == ("running", None)
    told = [event["event"] for event in (await new.get("/history")).json()["events"]]
    parked = [event for event in told if event.startswith("weight_install_")]
    assert parked == ["weight_install_running", "weight_install_pending"] * 2

    assert await new.ends() == 0
    await until(old.works, PATIENCE)
    assert seen_in(api.store.get(KEY)).token == 3
    assert await old.ends() == 0


async def test_one_that_crashed_here_is_followed_at_once(api: FakeApi, start: Start) -> None:
    """As a container that is started again in its pod: nobody else can be that holder."""
    old = await start("old")
    await until(old.works, PATIENCE)
    await old.kill()
    new = await start("new")
    await until(lambda: new.answers("/healthz", 200), PATIENCE)
    begun = time.monotonic()
    await until(new.works, PATIENCE)
    assert time.monotonic() - begun < 10, "its lease expires after 15 s"
    assert seen_in(api.store.get(KEY)).token == 2
