"""One service per state folder: a lock of the kernel, which a killed process cannot leave behind."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from model_manager.errors import StateError

OPEN: Final = "open"

PATIENCE: Final = 0.25
"""Seconds after which a folder that is locked counts as in use."""


class FolderLock:
    """An exclusive `flock` on `state.lock`, whose text names the holder for whoever is refused.

    The second word of the text says that the state was open. It is taken back before a clean close, so the
    next start knows whether the last one ended well (`was_open`).
    """

    def __init__(self, path: Path, descriptor: int, was_open: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self.was_open = was_open

    @classmethod
    def take(cls, folder: Path) -> "FolderLock":
        """Lock the folder, or raise StateError naming the process that holds it."""
        path = folder / "state.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        words = os.pread(descriptor, 100, 0).decode(errors="replace").split()
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            holder = f"process {words[0]}" if words else "another process"
            raise StateError(
                f"The state folder {folder} is in use by {holder}.",
                "Stop that one first, or give this one a state folder of its own.",
                pid=int(words[0]) if words and words[0].isdigit() else None,
            ) from error
        lock = cls(path, descriptor, OPEN in words)
        lock.note("")
        return lock

    def note(self, word: str) -> None:
        """Write our pid and `word` (OPEN or nothing) for the next reader."""
        text = f"{os.getpid()} {word}\n".encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Let go; the file stays, since removing it would let two processes lock two files of one name."""
        os.close(self._descriptor)


def held_by(folder: Path) -> int | None:
    """The process that has the folder locked now; None when nobody has, whatever a killed one left written there."""
    try:
        descriptor = os.open(folder / "state.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        words = os.pread(descriptor, 100, 0).decode(errors="replace").split()
        return int(words[0]) if words and words[0].isdigit() else None
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int) -> None:
    """Patiently: whoever asks `held_by` has the lock too, for a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)  # in the writing thread
