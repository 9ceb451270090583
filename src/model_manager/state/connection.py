"""How the state file is opened: one connection writes and checkpoints, all others can only read.

SQLite before 3.51.3 can corrupt a write-ahead log when two connections write or checkpoint at once;
with a single one that may do either, every version is safe.
"""

import os
import sqlite3
from pathlib import Path

from model_manager.errors import StateError

BUSY_SECONDS = 5.0
"""How long to wait for a lock that an outside program holds (a backup, a shell)."""

_JOURNAL_LIMIT = 16 * 2**20


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes: WAL, and a commit returns only when it is on the disk."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    connection.row_factory = sqlite3.Row
    try:
        [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StateError(
                f"The file system of {path.parent} does not carry SQLite's write-ahead log.",
                "Give the state a folder on a local disk (STATE_PATH).",
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, checkpoint or create the file; it may be closed by another thread."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def copy_into(connection: sqlite3.Connection, target: Path) -> None:
    """A whole, consistent copy at `target`: made beside it, synced, then renamed into place."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        connection.execute("VACUUM INTO ?", (str(partial),))
        sync(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder's names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wal_of(path: Path) -> Path:
    """The write-ahead log beside the state file."""
    return path.with_name(f"{path.name}-wal")


def size_of(path: Path) -> int:
    """Bytes of the file, 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
