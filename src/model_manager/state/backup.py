"""Copies and checks of a state folder, on a running service or a stopped one. Only ever reads it."""

import sqlite3
from pathlib import Path

from model_manager.errors import Conflict, NotFound, StateError
from model_manager.state import migrations
from model_manager.state.bolt_meta import is_bolt
from model_manager.state.connection import connect_reader, copy_into
from model_manager.state.sentences import told


def backup(folder: Path, target: Path) -> None:
    """Write a whole copy of the state to `target`, which must not exist; a file copied by hand lacks the log.

    Raises NotFound without a state, Conflict when `target` exists, StateError when it cannot be written.
    """
    path = _state_in(folder)
    if target.exists():
        raise Conflict(f"{target} exists.", "Name a file that does not exist yet.")
    try:
        connection = connect_reader(path)
        try:
            copy_into(connection, target)
        finally:
            connection.close()
    except OSError as error:
        raise StateError(f"{target} cannot be written: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise _failure(error, path, target) from error


def _failure(error: sqlite3.Error, path: Path, target: Path) -> StateError:
    known = told(error, path)
    if known is None or known.data.get("sqlite", "").startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return StateError(
            f"{target} could not be written: {error}.", "Is there space for another copy of the state?"
        )
    return known


def check(folder: Path) -> list[str]:
    """Read the whole state file; one sentence for each thing that is wrong with it, none when it is sound."""
    path = _state_in(folder)
    newest = migrations.packaged()[-1].version
    if is_bolt(path):
        return [
            f"{path} is the original service's. This one gives it another name when it starts; see "
            "`model-manager state import`."
        ]
    try:
        connection = connect_reader(path)
        try:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
            version = migrations.schema_version(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        return [f"{path} cannot be read: {error}."]
    problems = [f"{path}: {line}" for line in said if line != "ok"]
    if version > newest:
        problems.append(
            f"{path} has schema {version}, written by a newer version; this one knows up to {newest}."
        )
    elif version == 0:
        problems.append(f"{path} has no schema number: it is not a state file, or damaged.")
    return problems


def _state_in(folder: Path) -> Path:
    path = folder / "state.db"
    if not path.is_file():
        raise NotFound(f"There is no state in {folder}.", "It is made when the service first starts there.")
    return path
