"""A running service with a few scripted models, and a client that carries its token."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

MODELS = {"demo": "well", "pirate": "well", "broken": "exits", "slow": "late"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    more: dict[str, dict[str, Any]] = {
        "demo": {
            "displayName": "The demo",
            "hfModelId": "acme/Demo_1",
            "tags": ["a"],
            "vllm": {"maxModelLen": 5},
        }
    }
    write_catalog(tmp_path / "catalog", MODELS, **more)
    (tmp_path / "catalog" / "models" / "bad.json").write_text('{"id": "bad",\n "vllm": 3}')
    runtimes = [runtime("well"), runtime("exits", "exit:3"), runtime("late", "late:60")]
    write_runtimes(tmp_path / "runtimes", runtimes)
    async with open_house(house_settings(tmp_path, slots=("second",))) as house:
        yield house


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {house.service.token}"}
    url = house.service.url
    async with httpx2.AsyncClient(
        base_url=url, headers=headers, trust_env=False, verify=False, timeout=60
    ) as client:
        yield client
