"""Numbered steps of the schema. Each is one transaction, taken after a copy of what was there before."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from model_manager.errors import StateError
from model_manager.state.connection import copy_into


class Migration(NamedTuple):
    """One step: the script that leads from schema `version - 1` to `version`."""

    version: int
    script: str


def packaged() -> tuple[Migration, ...]:
    """The steps that come with this version, in order: `migrations/0001_first.sql` is step 1."""
    files = sorted((Path(__file__).parent / "migrations").glob("[0-9]*_*.sql"))
    return tuple(Migration(int(file.name.split("_")[0]), file.read_text()) for file in files)


def schema_version(connection: sqlite3.Connection) -> int:
    """The schema the file is at; 0 is a file that no step has touched."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def copies(folder: Path) -> dict[int, Path]:
    """The copies that upgrades have left, by the schema they hold."""
    found = (
        (path.name.removeprefix("state.v").removesuffix(".db"), path) for path in folder.glob("state.v*.db")
    )
    return {int(version): path for version, path in found if version.isdigit()}


def migrate(connection: sqlite3.Connection, steps: tuple[Migration, ...], keep_in: Path | None) -> None:
    """Take every step the file has not had. `keep_in` gets `state.vN.db` before each; None for a new file.

    A crash anywhere leaves the file at a whole version: the number changes in the step's own transaction.
    """
    version = schema_version(connection)
    for step in steps:
        if step.version <= version:
            continue
        if keep_in is not None:
            copy_into(connection, keep_in / f"state.v{step.version - 1}.db")
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{step.script}\n;PRAGMA user_version = {step.version};\nCOMMIT;"
            )
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise


def refuse_newer(path: Path, version: int, known: int) -> None:
    """Raise StateError when a newer version of us wrote the file, saying which copy this one can open."""
    if version <= known:
        return
    usable = [number for number in copies(path.parent) if number <= known]
    if usable:
        copy = path.with_name(f"state.v{max(usable)}.db")
        hint = (
            f"Run the newer version, or go back to the copy this one can open: move {path.name} and its -wal "
            f"aside, then rename {copy.name} to {path.name}."
        )
    else:
        hint = f"Run the newer version: no copy with schema {known} or less is in {path.parent}."
    raise StateError(
        f"{path} has schema {version}, written by a newer version; this one knows schemas up to {known}.",
        hint,
        schema=version,
        known=known,
    )
