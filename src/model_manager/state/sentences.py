"""SQLite's result codes, told as what happened and what to do."""

import sqlite3
from pathlib import Path

from model_manager.errors import StateError

_HELD = ("{path} is held by another program.", "Close what has it open for writing, then try again.")
_CLOSED = ("{path} cannot be opened.", "Check the folder's owner and permissions.")
_DAMAGED = (
    "{path} is damaged.",
    "Restart: it will be moved aside and rebuilt. `model-manager state check` tells more.",
)
_TOLD = {
    sqlite3.SQLITE_FULL: ("The disk of {folder} is full: nothing was changed.", "Free some space there."),
    sqlite3.SQLITE_IOERR: (
        "The disk of {folder} failed: nothing was changed.",
        "Look at it with dmesg and df.",
    ),
    sqlite3.SQLITE_READONLY: ("{path} is read-only: nothing was changed.", "Check its owner and its mount."),
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_PERM: _CLOSED,
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_PROTOCOL: ("{path} cannot be locked.", "Give the state a local folder (STATE_PATH)."),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_INTERRUPT: ("Reading {path} took too long and was stopped.", "Ask for less at a time."),
    sqlite3.SQLITE_NOMEM: ("There was no memory left to use {path}.", "Free memory, then try again."),
}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for errors that Python made itself."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file's content is broken."""
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def told(error: sqlite3.Error, path: Path) -> StateError | None:
    """The StateError for what disks and other programs do; None for what only a bug does."""
    if (known := _TOLD.get(primary_code(error))) is None:
        return None
    sentence, hint = known
    name = getattr(error, "sqlite_errorname", "")
    return StateError(sentence.format(path=path, folder=path.parent), hint, sqlite=name)
