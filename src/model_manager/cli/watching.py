"""`--watch`: draw again whenever something happened, as the events tell; by the clock where there are none."""

import io
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import NoReturn

from model_manager import client as api
from model_manager.cli import output
from model_manager.errors import ModelManagerError

POLL_EVERY = 2.0
"""Seconds between two looks while there are no events to go by."""

IDLE = 10.0
"""Seconds after which it is drawn again although nothing happened: `5 s ago` has become untrue."""

SETTLE = 0.1
"""Seconds after an event: what comes in a burst is drawn once."""


def watch(client: "api.Client", draw: Callable[[], object]) -> NoReturn:
    """Until Ctrl-C. Raises what `draw` raises the first time; later a service that is away is waited for."""
    changes = _Changes(client)
    page = _captured(draw)
    away = False
    _put(page)
    while True:
        changes.wait()
        try:
            fresh = _captured(draw)
        except api.NotReachable as error:
            if not away:
                output.note(f"{error.sentence} Trying again.")
            away = True
            continue
        if fresh != page or (away and sys.stdout.isatty()):
            _put(fresh)
        page, away = fresh, False


class _Changes:
    """Follows the events in a thread of its own, because reading them blocks."""

    def __init__(self, client: "api.Client") -> None:
        self._client = client
        self._happened = threading.Event()
        self._following = False
        threading.Thread(target=self._follow, daemon=True).start()

    def wait(self) -> None:
        """Until something may have changed."""
        if self._happened.wait(IDLE if self._following else POLL_EVERY):
            time.sleep(SETTLE)
        self._happened.clear()

    def _follow(self) -> None:
        while True:
            try:
                for _ in self._client.events():  # the first comes at once: it says where the history stands
                    self._following = True
                    self._happened.set()
            except ModelManagerError:  # away, or not for this token: `draw` will say so
                pass
            self._following = False
            time.sleep(POLL_EVERY)


class _Page(io.TextIOWrapper):
    """Takes what is printed, as the terminal or the pipe that it stands for would have."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", write_through=True)
        self._terminal = sys.stdout.isatty()

    def isatty(self) -> bool:
        return self._terminal


def _captured(draw: Callable[[], object]) -> str:
    page = _Page()
    with redirect_stdout(page):
        draw()
    return page.bytes.getvalue().decode()


def _put(page: str) -> None:
    """In place of the page before on a terminal, below it in a pipe."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")
    sys.stdout.write(page)
    sys.stdout.flush()
