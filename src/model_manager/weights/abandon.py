"""Blocking work that a cancel can leave behind."""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from model_manager.errors import WorkFailed
from model_manager.weights.plan import Control

GRACE = 1.0
"""Seconds that cancelled work gets to end by itself before it is left to the end of the process."""

T = TypeVar("T")


def abandonable(
    control: Control, act: Callable[[], T], committed: threading.Event, timeout: float = 0.0
) -> T:
    """Run `act` in a thread and give its result, or its exception.

    Name look-ups, connects and reads of a stalled network cannot be interrupted, and a cancel must not wait for
    their time limits. So the thread is left alone GRACE seconds after a cancel, and what `control.check()` raises
    is raised here; the caller's process is to end soon. Once `committed` is set, `act` is waited for.
    After `timeout` seconds (0: no limit) it is left alone likewise, with WorkFailed.
    """
    outcome: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((act(), None))
        except BaseException as error:  # carried to the caller's thread, whatever it is
            outcome.put((None, error))

    threading.Thread(target=run, name="install", daemon=True).start()
    deadline: float | None = None
    latest = time.monotonic() + timeout if timeout else None
    while True:
        try:
            result, error = outcome.get(timeout=0.05)
        except Empty:
            if control.cancelled and not committed.is_set():
                deadline = deadline or time.monotonic() + GRACE
                if time.monotonic() >= deadline:
                    control.check()
            if latest is not None and time.monotonic() >= latest and not committed.is_set():
                raise _too_late(timeout) from None
            continue
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


def _too_late(timeout: float) -> WorkFailed:
    sentence = f"The installation was not done within {timeout:g} s."
    return WorkFailed(sentence, "Raise WEIGHTS_INSTALL_TIMEOUT.", code="timeout")
