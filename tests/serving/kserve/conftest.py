"""A fake API server with a fake KServe, and platforms that talk to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.mirror import Watching
from model_manager.serving.kserve.platform import KServePlatform
from model_manager.serving.kserve.preflight import Preflight
from tests.serving.ground import RUNTIMES
from tests.serving.kserve.fake_api import FakeApi, fake_api
from tests.serving.kserve.fake_kserve import FakeKServe

QUICK = Watching(seconds=5.0, silence=6.0, pause=0.02)

Connect = Callable[..., KServePlatform]


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with fake_api() as server:
        yield server


@pytest.fixture
async def kserve(api: FakeApi) -> AsyncIterator[FakeKServe]:
    """With the runtimes of the contract suite, the claim of its manifests and one node."""
    controller = FakeKServe(api)
    for name, document in RUNTIMES.items():
        controller.add_runtime({**document, "metadata": {**document["metadata"], "name": name}})
    claim = {"status": {"phase": "Bound"}}
    api.store.put(("persistentvolumeclaims", "default", "some-claim"), claim)
    allocatable = {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
    api.store.put(("nodes", "", "gpu-1"), {"status": {"allocatable": allocatable}})
    yield controller
    await controller.aclose()


def api_of(server: FakeApi, token: str = "") -> Api:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Api(lambda: httpx2.AsyncClient(base_url=server.url, headers=headers, trust_env=False), "default")


@pytest.fixture
async def connect(api: FakeApi, kserve: FakeKServe) -> AsyncIterator[Connect]:
    """Makes platforms on the fake cluster, and ends them with the test."""
    async with AsyncExitStack() as stack:

        def make(**settings: Any) -> KServePlatform:
            client = api_of(api)
            settings.setdefault("watching", QUICK)
            preflight = Preflight(
                client, settings.pop("claim", ""), settings.pop("weights", lambda folder: True)
            )
            made = KServePlatform(client, preflight, **settings)
            made.start()
            stack.push_async_callback(made.aclose)
            return made

        yield make


@pytest.fixture
async def platform(connect: Connect) -> KServePlatform:
    return connect()


@pytest.fixture
def recorded() -> Path:
    return Path(__file__).parent / "recorded"
