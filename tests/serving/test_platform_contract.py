"""The contract, on every platform there is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.serving.platform import Platform
from tests.serving.fake_platform import FakePlatform
from tests.serving.ground import local_platform
from tests.serving.platform_contract import PlatformContract


class TestPlatform(PlatformContract):
    @pytest.fixture(params=["fake", "local"])
    async def platform(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Platform]:
        if request.param == "local":
            async with local_platform(tmp_path) as platform:
                yield platform
        else:
            fake = FakePlatform()
            yield fake
            await fake.aclose()
