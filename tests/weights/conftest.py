from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.fake import FakeHub
from tests.weights.fakes import FakeControl


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder
