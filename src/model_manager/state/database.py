"""The state file as the house sees it: `write` in the one writing thread, `read` beside it."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from model_manager.errors import StateError
from model_manager.state import fence, migrations, opening
from model_manager.state.connection import BUSY_SECONDS, connect_reader, size_of, wal_of
from model_manager.state.filesystem import filesystem_of, refuse_network
from model_manager.state.lock import OPEN, FolderLock
from model_manager.state.sentences import is_damage, told

T = TypeVar("T")

READ_SECONDS = 1.0
"""The longest a read may take. A reader holds the log open behind it, so it must not last."""

WAL_LIMIT = 16 * 2**20
"""Bytes of log from which the writer empties it itself; SQLite alone waits for a moment without readers."""

_READERS = 2
_STEPS_PER_LOOK = 10_000


class Transaction:
    """One BEGIN IMMEDIATE … COMMIT in the writing thread, handed to the function that does the writing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.callbacks: list[Callable[[], None]] = []

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        """Run one statement; rows come as `sqlite3.Row`."""
        return self._connection.execute(sql, parameters)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back on the event loop's thread once the transaction is on the disk; never when it is not."""
        self.callbacks.append(callback)


class Database:
    """One open state folder. Made by `open`; every failure of the disk is a StateError that changed nothing.

    `recovered_from` is a sentence when something was lost before this start (a damaged file was moved aside).
    """

    def __init__(self, path: Path, token: int | None = None) -> None:
        self.path = path
        self._token = token
        self.recovered_from: str | None = None
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, "state-writer")
        self._readers = ThreadPoolExecutor(_READERS, "state-reader")
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._inode = 0
        self._next_squeeze = 0.0
        self._closing = False
        self._lock: FolderLock
        self._connection: sqlite3.Connection

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        token: int | None = None,
        filesystem: Callable[[Path], str] = filesystem_of,
        steps: tuple[migrations.Migration, ...] | None = None,
    ) -> "Database":
        """Lock `folder`, check, repair, migrate and open `state.db` in it.

        Raises StateError when another process has the folder, it is on a network file system, or a newer
        version wrote the file. With a fencing `token`, every write checks that no other service came with a greater
        one, and raises Fenced; so does this. The other keywords are for tests.
        """
        database = cls(folder / "state.db", token)
        try:
            await database._in(
                database._writer, lambda: database._open(filesystem, steps or migrations.packaged())
            )
        except BaseException:
            database._writer.shutdown()
            raise
        return database

    def _open(self, filesystem: Callable[[Path], str], steps: tuple[migrations.Migration, ...]) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_network(folder, filesystem(folder))
            self._lock = FolderLock.take(folder)
            try:
                self._open_file(steps)
            except BaseException:
                self._lock.release()
                raise
        except OSError as error:
            sentence = f"The state folder {folder} cannot be used: {error.strerror}."
            raise StateError(sentence, "Check its owner, its permissions and its disk.") from error

    def _open_file(self, steps: tuple[migrations.Migration, ...]) -> None:
        with self._told():
            self.recovered_from = opening.ready_file(self.path, steps, self._lock.was_open)
            self._connection = opening.open_writer(self.path, steps, self._token)
        self._inode = self.path.stat().st_ino
        # The log exists from the first write on, and must exist at the next start if we do not close cleanly.
        if wal_of(self.path).exists():
            self._lock.note(OPEN)

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """Run `fn` in a transaction of its own; its callbacks run before this returns.

        What `fn` raises rolls everything back and is raised here. Writes happen in the order of the calls.
        """
        return await self._in(self._writer, lambda: self._write(fn))

    def _write(self, fn: Callable[[Transaction], T]) -> T:
        self._check_file()
        transaction = Transaction(self._connection)
        with self._told():
            # IMMEDIATE: a deferred one that turns to writing fails at once when another wrote meanwhile.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                if self._token is not None:
                    fence.check(self._connection, self._token)
                result = fn(transaction)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.rollback()
                raise
        for callback in transaction.callbacks:
            self._loop.call_soon_threadsafe(callback)
        self._squeeze_wal()
        return result

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on a read-only connection, on one snapshot; StateError after READ_SECONDS."""
        return await self._in(self._readers, lambda: self._read(fn))

    def _read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        with self._told():
            connection = self._reader()
            deadline = time.monotonic() + READ_SECONDS
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_PER_LOOK)
            connection.execute("BEGIN")
            try:
                return fn(connection)
            finally:
                connection.set_progress_handler(None, 0)
                connection.rollback()

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = connect_reader(self.path)
            self._opened.append(connection)
        return connection

    async def aclose(self) -> None:
        """Finish what was asked for, empty the log into the file, let the folder go. May be called twice."""
        if self._closing:
            return
        await self._in(self._writer, self._close)
        self._writer.shutdown()

    def _close(self) -> None:
        self._closing = True
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()
        if self._is_in_place():
            self._lock.note("")  # before the log goes, so that its absence is never taken for a loss
        self._connection.close()
        self._lock.release()

    async def _in(self, pool: ThreadPoolExecutor, fn: Callable[[], T]) -> T:
        if self._closing:
            raise StateError(f"{self.path} is closed: the service is stopping.")
        return await self._loop.run_in_executor(pool, fn)

    def _check_file(self) -> None:
        """A file that was deleted or replaced under us still takes writes, and loses them: refuse instead."""
        if not self._is_in_place():
            raise StateError(
                f"{self.path} was deleted or replaced while in use: nothing was saved.",
                "Restart the service; put the file back first if you have it.",
            )

    def _is_in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _squeeze_wal(self) -> None:
        now = time.monotonic()
        if now < self._next_squeeze or size_of(wal_of(self.path)) <= WAL_LIMIT:
            return
        self._next_squeeze = now + 1.0
        with contextlib.suppress(sqlite3.Error):  # a reader is in the way: the next commit tries again
            self._connection.execute("PRAGMA busy_timeout = 100")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                opening.suspect(self.path)
            if (known := told(error, self.path)) is None:
                raise
            raise known from error
