"""Two services on one volume and one namespace, as processes of their own, against the fake API server."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from model_manager.serving.kserve.lease import seen_in
from tests.house import write_catalog
from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_store import Key
from tests.waiting import until

KEY: Key = ("leases", "default", "model-manager-active-llm")
TOKEN = "a-token-of-the-test"


@dataclass
class Service:
    """`model-manager serve` at a port that is known before it works."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def get(self, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            return await http.get(
                f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {TOKEN}"}
            )

    async def answers(self, path: str, status: int) -> bool:
        try:
            return (await self.get(path)).status_code == status
        except httpx2.TransportError:
            return False

    async def works(self) -> bool:
        return await self.answers("/system/info", 200)

    async def waits(self) -> bool:
        return await self.answers("/system/info", 503)

    async def ends(self) -> int:
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 20)


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
        yield lambda name, *flags: stack.enter_async_context(service(tmp_path, name, *flags))


@asynccontextmanager
async def service(folder: Path, name: str, *flags: str) -> AsyncIterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "model_manager", "serve", "--platform=kserve", "--host=127.0.0.1",
        f"--server-port={port}", f"--kubeconfig={folder / 'kubeconfig'}", "--namespace=default",
        f"--state-path={folder / 'state'}", f"--weights-path={folder / 'weights'}", "--disk-reserve=0",
        f"--catalog-root={folder / 'catalog'}", "--log-format=text", *flags,
    ]  # fmt: skip
    environment = {"HOME": str(folder), "PATH": os.defpath, "MODEL_MANAGER_API_TOKEN": TOKEN}
    with (folder / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        yield Service(process, port, folder / f"{name}.log")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def holder(api: FakeApi) -> str:
    return seen_in(api.store.get(KEY)).holder


async def test_who_waits_says_that_it_lives_and_touches_nothing(
    api: FakeApi, start: Start, tmp_path: Path
) -> None:
    api.store.put(KEY, {"spec": {"holderIdentity": "another", "leaseTransitions": 6, "renewTime": "then"}})
    waiting = await start("waiting")
    await until(lambda: waiting.answers("/healthz", 200))
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
    await until(waiting.works)
    assert seen_in(api.store.get(KEY)).token == 7
    assert await waiting.ends() == 0
    assert holder(api) == ""


async def test_who_is_told_to_stop_while_it_waits_just_ends(api: FakeApi, start: Start) -> None:
    api.store.put(KEY, {"spec": {"holderIdentity": "another", "leaseTransitions": 6, "renewTime": "then"}})
    waiting = await start("waiting")
    await until(lambda: waiting.answers("/healthz", 200))
    assert await waiting.ends() == 0
    assert holder(api) == "another"


async def test_without_the_right_to_the_lease_it_is_not_ready_and_says_why(
    api: FakeApi, start: Start
) -> None:
    api.forbid("get", "leases")
    waiting = await start("waiting")
    await until(lambda: waiting.answers("/readyz", 503))
    assert "may not get leases" in (await waiting.get("/readyz")).json()["reasons"][0]
    assert (await waiting.get("/healthz")).status_code == 200


async def test_the_work_is_handed_over_and_comes_back(api: FakeApi, start: Start, hub: "Hub") -> None:
    """With a download under way: its job waits for the new service, which goes on with it."""
    old = await start("old", f"--hub-endpoint={hub.url}")
    await until(old.works)
    job = await _install(old)
    await until(lambda: hub.asked == 1)

    begun = time.monotonic()
    new = await start("new", f"--hub-endpoint={hub.url}")
    await until(new.works, 15)
    assert time.monotonic() - begun < 10
    assert (await old.get("/readyz")).status_code == 503
    assert (await old.get("/slots")).headers["retry-after"] == "2"
    assert holder(api) and old.process.returncode is None

    await until(lambda: hub.asked == 2)
    found = (await new.get(f"/jobs/{job}")).json()
    assert (found["status"], found.get("error")) == ("running", None)
    told = [event["event"] for event in (await new.get("/history")).json()["events"]]
    parked = [event for event in told if event.startswith("weight_install_")]
    assert parked == ["weight_install_running", "weight_install_pending"] * 2

    assert await new.ends() == 0
    await until(old.works, 20)
    assert seen_in(api.store.get(KEY)).token == 3
    assert await old.ends() == 0


class Hub:
    """One that takes connections and never answers. `asked`: how many came."""

    def __init__(self) -> None:
        self.url = ""
        self._connections: list[asyncio.StreamWriter] = []

    @property
    def asked(self) -> int:
        return len(self._connections)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(writer)

    def close(self) -> None:
        for writer in self._connections:
            writer.close()


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
        made.close()


async def _install(service: Service) -> Any:
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"http://127.0.0.1:{service.port}/weights/install", json={"hfModelId": "owner/model"},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )  # fmt: skip
    return answer.json()["job"]["id"]
