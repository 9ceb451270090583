"""What tests of several rooms need, and the run of all of them."""

import faulthandler
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.events import EventLog
from model_manager.state.database import Database

# A shell's background job ignores Ctrl-C, and so does every program it starts: the tests that press it would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HANGS_AFTER = 300.0
"""Seconds for a test's setup and call, for its teardown, and for the end of the run.

pytest-timeout fails a test once, before that; what hangs in C, or afterwards (a fixture that waits for what the test
left behind), would hang for ever. This prints every thread's stack and ends the process; xdist names the test and
goes on.
"""

_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_stderr] = os.dup(2)  # tests run with another one, which pytest captures


def end_if_it_hangs(config: pytest.Config) -> None:
    """Anew from now on. A failure in between ends the watch (pytest thinks of debuggers), so each phase has its own."""
    faulthandler.dump_traceback_later(HANGS_AFTER, file=config.stash[_stderr], exit=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    end_if_it_hangs(item.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    end_if_it_hangs(item.config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    end_if_it_hangs(session.config)


def pytest_unconfigure() -> None:
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "state")
    yield database
    await database.aclose()


@pytest.fixture
def events(database: Database) -> EventLog:
    return EventLog(database)
