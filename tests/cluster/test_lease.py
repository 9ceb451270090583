"""Two services on one claim and one namespace of the real API server: work is handed over, the pod never touched."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from testcluster import Namespace

from tests.cluster.house import prepare, settings_of, uids
from tests.serving.kserve.services import TOKEN, Service, service
from tests.waiting import until

QUESTION = {"model": "active-llm", "messages": [{"role": "user", "content": "hi"}]}
Start = Callable[[str], Awaitable[Service]]


@pytest.fixture
async def start(namespace: Namespace, tmp_path: Path) -> AsyncIterator[Start]:
    behaviours = {"well": (), "slow": ("slow_tokens:0.5", "tokens:60")}
    await prepare(namespace, tmp_path, {"good": "slow", "other": "well"}, behaviours)
    async with AsyncExitStack() as stack:
        yield lambda name: stack.enter_async_context(
            service(tmp_path, name, settings_of(namespace, tmp_path))
        )


async def lease(namespace: Namespace) -> dict[str, Any]:
    found = await namespace.api.get("leases", "model-manager-active-llm", namespace.name)
    return dict(found["spec"])


async def chats(service: Service, model: str) -> bool:
    payload = {**QUESTION, "max_tokens": 1}
    answer = await service.ask("POST", "/v1/chat/completions", payload)
    return answer.status_code == 200 and answer.json()["model"] == model


async def stream(service: Service, pieces: list[str]) -> None:
    """Half a minute of tokens, unless it is cut off."""
    url, headers = (
        f"http://127.0.0.1:{service.port}/v1/chat/completions",
        {"Authorization": f"Bearer {TOKEN}"},
    )
    payload = {**QUESTION, "max_tokens": 60, "stream": True}
    with suppress(httpx2.RemoteProtocolError):
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=60) as http,
            http.stream("POST", url, headers=headers, json=payload) as answer,
        ):
            async for line in answer.aiter_lines():
                pieces.append(line)


async def test_a_new_service_takes_over_and_the_old_one_again_when_it_dies(
    namespace: Namespace, start: Start
) -> None:
    old = await start("old")
    await until(old.works, 40)
    await old.post("/models/activate", {"id": "good"})
    await until(lambda: chats(old, "good"), 40)
    before = await uids(namespace)
    pieces: list[str] = []
    streaming = asyncio.create_task(stream(old, pieces))
    await until(lambda: pieces)

    new = await start("new")
    await until(lambda: new.answers("/healthz", 200), 40)
    begun = time.monotonic()
    await until(new.works, 40)
    took = time.monotonic() - begun
    assert took < 10
    assert "data: [DONE]" not in pieces, "it took no longer although a long answer was under way"
    await streaming
    assert await uids(namespace) == before
    await until(lambda: chats(new, "good"), 30)
    held = await lease(namespace)
    shown = (await new.get("/system/info")).json()["lease"]
    assert (held["leaseTransitions"], shown["token"]) == (2, 2)
    assert (shown["holder"], shown["namespace"]) == (held["holderIdentity"], namespace.name)
    assert [await old.answers("/readyz", 503), await old.answers("/slots", 503)] == [True, True]

    await new.post("/models/activate", {"id": "other"})
    await until(lambda: chats(new, "other"), 40)
    switched = await uids(namespace)
    assert (len(before), len(switched), before == switched) == (1, 1, False)

    await new.kill()
    await until(old.works, 30)
    await until(lambda: chats(old, "other"), 30)
    assert (await lease(namespace))["leaseTransitions"] == 3
    assert await uids(namespace) == switched
    assert await old.ends() == 0
    assert "holderIdentity" not in await lease(namespace)
