"""The file of the static token: read again when it changed, so that rotating it needs no restart."""

import logging
from collections.abc import Callable
from pathlib import Path

from model_manager.errors import SettingsError

log = logging.getLogger(__name__)


class TokenFile:
    """`read` gives the token, or raises SettingsError with a sentence; `token` is what was read before.

    Its methods block on the disk: not for the event loop's thread.
    """

    def __init__(self, path: Path, read: Callable[[], str | None], token: str) -> None:
        self._path = path
        self._read = read
        self._token = token
        self._seen = self._look()
        self._warn_if_readable()

    def changed(self) -> str | None:
        """The new token when the file holds another one than before.

        A file that is missing, empty or half-written is told once and changes nothing: the old token stays good.
        """
        seen = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            token = self._read()
        except SettingsError as error:
            log.warning("%s The token that was read before stays in force.", error.sentence)
            return None
        self._warn_if_readable()
        if token is None or token == self._token:
            return None
        self._token = token
        return token

    def _look(self) -> tuple[int, int, int] | None:
        """What shows a change; Kubernetes exchanges a link in the path, so its target's inode is part of it."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _warn_if_readable(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except OSError:
            return
        if mode & 0o004:
            log.warning(
                "the token file %s can be read by every user of this machine; chmod o-r it", self._path
            )
