"""Programs that hold a state folder, to be killed or refused: `python -m tests.state.program WHAT FOLDER …`."""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import sys
from itertools import count
from pathlib import Path
from typing import Any

from model_manager.errors import StateError
from model_manager.state import migrations
from model_manager.state.database import Database
from tests.state.rows import keys, put

ROWS = 20
CURRENT = len(migrations.packaged())
NEXT = migrations.Migration(
    CURRENT + 1,
    "CREATE TABLE added (a);\nINSERT INTO added VALUES (1);\nALTER TABLE slots ADD COLUMN note TEXT;",
)


def say(line: Any) -> None:
    print(json.dumps(line), flush=True)


async def write(folder: Path) -> None:
    """Write ROWS rows a transaction and say its number once it is committed, until killed."""
    database = await Database.open(folder)
    for number in count(len(await keys(database)) // ROWS):
        await database.write(put(*(f"{number:06}-{row:02}" for row in range(ROWS))))
        say(number)


async def hold(folder: Path) -> None:
    database = await Database.open(folder)
    await database.write(put("held"))
    say(os.getpid())
    await asyncio.Event().wait()


async def full_disk(folder: Path) -> None:
    """Commit on a disk that takes no more, then on one that does again."""
    database = await Database.open(folder)
    await database.write(put("before"))
    called: list[str] = []
    size = (folder / "state.db-wal").stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    def failing(txn: Any) -> None:
        put("during", value="x" * 50_000)(txn)
        txn.after_commit(lambda: called.append("during"))

    try:
        await database.write(failing)
        sentence = ""
    except StateError as error:
        sentence = error.sentence
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await database.write(put("after"))
    result = {"sentence": sentence, "called": called, "keys": await keys(database)}
    await database.aclose()
    say(result)


def migrate(folder: Path, kill_at: int) -> None:
    """Take the second step, killed at the given statement."""
    connection = sqlite3.connect(folder / "state.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    seen = count(1)

    def look(statement: str) -> None:
        if next(seen) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(look)
    migrations.migrate(connection, (*migrations.packaged(), NEXT), folder)


if __name__ == "__main__":
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "migrate":
        migrate(folder, int(sys.argv[3]))
    else:
        asyncio.run({"write": write, "hold": hold, "full_disk": full_disk}[what](folder))
