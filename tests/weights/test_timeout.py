"""WEIGHTS_INSTALL_TIMEOUT: an install that takes too long fails with a sentence, whatever the network does."""

import threading

import pytest

from model_manager.errors import WorkFailed
from model_manager.weights.abandon import abandonable
from tests.weights.fakes import FakeControl


def test_work_that_hangs_is_left_alone_at_its_limit() -> None:
    hanging = threading.Event()
    with pytest.raises(WorkFailed, match=r"not done within 0\.2 s") as late:
        abandonable(FakeControl(), hanging.wait, threading.Event(), 0.2)
    hanging.set()
    assert late.value.hint == "Raise WEIGHTS_INSTALL_TIMEOUT."


def test_what_is_being_published_is_waited_for() -> None:
    publishing, go = threading.Event(), threading.Event()
    publishing.set()
    threading.Timer(0.3, go.set).start()
    assert abandonable(FakeControl(), lambda: go.wait() and "done", publishing, 0.1) == "done"
