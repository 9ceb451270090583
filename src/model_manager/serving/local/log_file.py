"""A slot's log on disk: appended by a thread, rotated by size. A slow or full disk costs lines, never time."""

import asyncio
import logging
import os
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)

ROTATE_BYTES = 5 << 20
"""At this size the file becomes `.1` (replacing the last one): two files per slot at most."""

PENDING_BYTES = 1 << 20
"""What may wait for a slow disk; lines beyond it are left out of the file, with a note."""


class LogFile:
    """Belongs to one event loop. `write` returns at once."""

    def __init__(self, path: Path, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.path = path
        self._rotate_bytes = rotate_bytes
        self._pending: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._flush: asyncio.Task[None] | None = None

    def write(self, lines: Iterable[str]) -> None:
        for line in lines:
            data = line.encode() + b"\n"
            if self._size + len(data) > PENDING_BYTES:
                self._lost += 1
                continue
            self._pending.append(data)
            self._size += len(data)
        if self._pending and self._flush is None:
            self._flush = asyncio.create_task(self._drain())

    async def aclose(self) -> None:
        """Wait until everything is written."""
        if self._flush:
            await self._flush

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending, self._size = b"".join(self._pending), [], 0
            if self._lost:
                batch += b"(%d lines were not written: the disk is too slow)\n" % self._lost
                self._lost = 0
            try:
                await asyncio.to_thread(self._append, batch)
            except OSError as error:
                logger.warning("cannot write %s: %s", self.path, error.strerror)
        self._flush = None

    def _append(self, batch: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(batch)
            size = file.tell()
        if size >= self._rotate_bytes:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
