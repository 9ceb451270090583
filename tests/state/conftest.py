from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.state.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "state")
    yield database
    await database.aclose()
