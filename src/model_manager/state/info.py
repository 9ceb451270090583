"""What `/system/info` says about the state file."""

import sqlite3
from pathlib import Path

from msgspec import Struct

from model_manager.state import migrations
from model_manager.state.connection import size_of, wal_of


class StateInfo(Struct, frozen=True):
    """Sizes in bytes. `wal_reset_fixed`: it has the fix of 3.51.3, which a single writer can do without."""

    path: str
    schema: int
    size: int
    wal_size: int
    sqlite_version: str
    wal_reset_fixed: bool


def info(folder: Path) -> StateInfo:
    """The figures of the state in `folder`; touches nothing but file sizes."""
    path = folder / "state.db"
    return StateInfo(
        path=str(path),
        schema=migrations.packaged()[-1].version,
        size=size_of(path),
        wal_size=size_of(wal_of(path)),
        sqlite_version=sqlite3.sqlite_version,
        wal_reset_fixed=sqlite3.sqlite_version_info >= (3, 51, 3),
    )
