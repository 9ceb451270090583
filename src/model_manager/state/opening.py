"""From a folder to a state file to work with: checked, set aside if damaged, made if missing, migrated."""

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path

from model_manager.errors import StateError
from model_manager.state import fence, migrations
from model_manager.state.bolt_meta import is_bolt
from model_manager.state.connection import connect_reader, connect_writer, size_of, sync, wal_of
from model_manager.state.sentences import is_damage

CHECKED_WHOLE = 32 * 2**20
"""Bytes up to which a file's structure is checked at every start (about 0.1 s). A larger one is checked whole
only when there is a reason to (it was not closed cleanly, or is `suspect`): nothing may scan at start."""

_log = logging.getLogger(__name__)


def ready_file(path: Path, steps: tuple[migrations.Migration, ...], was_open: bool) -> str | None:
    """See to it that `path` is a sound state file of the newest schema.

    Returns the sentence to tell loudly when something was lost. Raises StateError when a newer version wrote
    the file or it is something else's; such a file is not touched.
    """
    _make_way(path)
    lost = None
    wal = wal_of(path)
    log_is_gone = was_open and not wal.exists()  # asked before `damage_of` opens the file, which makes one
    if not path.exists():
        if was_open or size_of(wal):
            lost = f"{path} was gone although the service had not closed it."
    elif damage := damage_of(path, steps[-1].version, whole=was_open or _suspect(path).exists()):
        lost = f"{path} was damaged ({damage})."
    elif log_is_gone:
        sentence = f"{wal}, which held the newest changes, is gone: what was done last may be missing."
        _log.error(sentence)
        return sentence
    if lost:
        aside = _set_aside(path)
        kept = f" What is left of it was moved to {aside}." if aside else ""
        lost += f"{kept} The state starts empty, without the history and choices it held."
        _log.error(lost)
    if not path.exists():
        _create(path, steps)
    return lost


def damage_of(path: Path, known: int, whole: bool) -> str:
    """What is broken in the file's structure, in a few words; "" when it is sound."""
    with path.open("rb") as file:
        head = file.read(16)
    size = size_of(path)
    if not size:
        return "it is empty"
    if size < 512 or head != b"SQLite format 3\0":
        return "it is not an SQLite file"
    connection = None
    try:
        connection = connect_reader(path)
        version = migrations.schema_version(connection)
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if whole or size <= CHECKED_WHOLE:
            [said] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                return str(said).removeprefix("*** in database main ***").strip()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return str(error)
    finally:
        if connection is not None:
            connection.close()
    if "events" not in tables:
        raise StateError(
            f"{path} is not a state file of Model Manager.", "Give the state a folder of its own."
        )
    migrations.refuse_newer(path, version, known)
    return "its schema number is lost" if version == 0 else ""


def refuse_newer(folder: Path) -> None:
    """Raise StateError when a newer version wrote the state that another service has open now."""
    path = folder / "state.db"
    if not wal_of(
        path
    ).exists():  # nobody has it open; and looking would make one, which `ready_file` asks for
        return
    try:
        with contextlib.closing(connect_reader(path)) as connection:
            version = migrations.schema_version(connection)
    except sqlite3.Error:
        return  # whoever opens it will say what is wrong with it
    migrations.refuse_newer(path, version, migrations.packaged()[-1].version)


def _make_way(path: Path) -> None:
    """Give the original's state, which had the same name, another one: beside ours, as it is, for an import."""
    if not is_bolt(path):
        return
    aside = _free_name(path.with_name("state.bolt.db"))
    path.rename(aside)
    sync(path.parent)
    _log.warning(
        "%s was the original service's state, and is %s now: `model-manager state import` reads it there.",
        path,
        aside,
    )


def suspect(path: Path) -> None:
    """Remember that damage was met while running: the next start checks the file whole, whatever its size."""
    try:
        _suspect(path).touch()
    except OSError:
        _log.warning("could not mark %s for a check", path)


def _suspect(path: Path) -> Path:
    return path.with_name("state.suspect")


def _set_aside(path: Path) -> Path | None:
    """Move the file and its log to `state.db.damaged-<time>`; nothing is deleted but the index of the log.

    Returns the new name, None when there was nothing to move.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = _free_name(path.with_name(f"{path.name}.damaged-{stamp}"))
    if not size_of(wal_of(path)):  # looking at the file may have made one
        wal_of(path).unlink(missing_ok=True)
    # The log first: were it left beside a new file, SQLite would play it into that one.
    left = [(old, new) for old, new in ((wal_of(path), wal_of(aside)), (path, aside)) if old.exists()]
    for old, new in left:
        old.rename(new)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    _suspect(path).unlink(missing_ok=True)
    sync(path.parent)
    return aside if left else None


def _free_name(path: Path) -> Path:
    """The path itself, or with a number behind it where there is such a file, or its log, already."""
    free, count = path, 1
    while free.exists() or wal_of(free).exists():
        count += 1
        free = path.with_name(f"{path.name}-{count}")
    return free


def _create(path: Path, steps: tuple[migrations.Migration, ...]) -> None:
    """A new file, made beside and renamed whole: so an empty one is always a damaged one."""
    fresh = path.with_name(f"{path.name}.new")
    for leftover in (fresh, fresh.with_name(f"{fresh.name}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(fresh, isolation_level=None)
    try:
        migrations.migrate(connection, steps, keep_in=None)
    finally:
        connection.close()
    sync(fresh)
    fresh.rename(path)
    sync(path.parent)


def open_writer(
    path: Path, steps: tuple[migrations.Migration, ...], token: int | None = None
) -> sqlite3.Connection:
    """The writing connection on a file that `ready_file` has seen, with every migration done.

    With a fencing `token`, nothing is migrated unless it is the newest, and it is from now on; else raises Fenced.
    """
    connection = connect_writer(path)
    try:
        if token is not None:
            fence.refuse_overtaken(connection, token)
        migrations.migrate(connection, steps, keep_in=path.parent)
        if token is not None:
            fence.claim(connection, token)
    except BaseException:
        connection.close()
        raise
    _suspect(path).unlink(missing_ok=True)
    return connection
