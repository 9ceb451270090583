"""What tests of several rooms need, and the run of all of them."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.events import EventLog
from model_manager.state.database import Database

# A shell's background job ignores Ctrl-C, and so does every program it starts: the tests that press it would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "state")
    yield database
    await database.aclose()


@pytest.fixture
def events(database: Database) -> EventLog:
    return EventLog(database)
