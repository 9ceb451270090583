"""Reading and writing: what is acknowledged is there, what failed is not, and nobody waits for a reader."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from model_manager.errors import Conflict, StateError
from model_manager.state import database as database_module
from model_manager.state.database import Database, Transaction
from tests.state.rows import keys, put
from tests.waiting import until


async def test_what_is_written_is_read_and_survives(database: Database) -> None:
    await database.write(put("a", "b"))
    assert await keys(database) == ["a", "b"]
    await database.aclose()
    again = await Database.open(database.path.parent)
    assert await keys(again) == ["a", "b"]
    assert again.recovered_from is None
    await again.aclose()


async def test_an_error_rolls_back_and_calls_nothing_back(database: Database) -> None:
    called: list[str] = []

    def failing(txn: Transaction) -> None:
        put("a")(txn)
        txn.after_commit(lambda: called.append("a"))
        raise Conflict("No.")

    with pytest.raises(Conflict):
        await database.write(failing)
    await database.write(put("b"))
    assert (await keys(database), called) == (["b"], [])


async def test_callbacks_run_on_the_loop_after_the_commit_and_before_write_returns(
    database: Database,
) -> None:
    seen: list[tuple[str, int]] = []

    def writing(txn: Transaction) -> None:
        for name in ("first", "second"):
            txn.after_commit(lambda name=name: seen.append((name, threading.get_ident())))

    await database.write(writing)
    assert seen == [("first", threading.get_ident()), ("second", threading.get_ident())]


async def test_s3_fifty_writers_that_read_first_lose_nothing(database: Database) -> None:
    await database.write(put("count", value="0"))

    def increment(txn: Transaction) -> None:
        (value,) = txn.execute("SELECT value FROM catalog_state WHERE key = 'count'").fetchone()
        txn.execute("UPDATE catalog_state SET value = ? WHERE key = 'count'", (str(int(value) + 1),))

    await asyncio.gather(*(database.write(increment) for _ in range(50)))
    row = await database.read(
        lambda connection: connection.execute("SELECT value FROM catalog_state").fetchone()
    )
    assert row["value"] == "50"


async def test_s3_a_write_waits_for_an_outside_writer(database: Database) -> None:
    outside = sqlite3.connect(database.path, isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    outside.execute("INSERT INTO catalog_state VALUES ('outside', '1')")
    writing = asyncio.create_task(database.write(put("inside")))
    await asyncio.wait({writing}, timeout=0.1)
    assert not writing.done()
    outside.execute("COMMIT")
    outside.close()
    await writing
    assert await keys(database) == ["inside", "outside"]


@pytest.mark.parametrize(
    "sql", ["DELETE FROM events", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA user_version = 9"]
)
async def test_s4_a_reader_can_neither_write_nor_checkpoint(database: Database, sql: str) -> None:
    await database.write(put("a"))
    log = database.path.with_name("state.db-wal")
    size = log.stat().st_size
    with pytest.raises(StateError):
        await database.read(lambda connection: connection.execute(sql).fetchall())
    assert log.stat().st_size == size > 0
    assert await keys(database) == ["a"]


async def test_s5_a_long_read_is_stopped_and_holds_no_writer_up(database: Database) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    reading = asyncio.create_task(database.read(lambda connection: connection.execute(endless).fetchone()))
    await database.write(put("a"))
    assert not reading.done()
    with pytest.raises(StateError, match="took too long"):
        await reading
    assert await keys(database) == ["a"]


async def test_s5_the_log_shrinks_again_after_a_reader_outside(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 200_000
    monkeypatch.setattr(database_module, "WAL_LIMIT", limit)
    log = database.path.with_name("state.db-wal")
    outside = sqlite3.connect(database.path, isolation_level=None)
    outside.execute("BEGIN")
    outside.execute("SELECT count(*) FROM events").fetchone()
    await database.write(put("big", value="x" * 1_000_000))
    assert log.stat().st_size > limit
    outside.close()

    async def shrunk() -> bool:
        await database.write(lambda txn: txn.execute("UPDATE catalog_state SET value = 'y'"))
        return log.stat().st_size <= limit

    await until(shrunk)


async def test_s6_a_file_deleted_while_open_takes_no_more_writes(database: Database) -> None:
    await database.write(put("a"))
    database.path.unlink()
    with pytest.raises(StateError, match="deleted or replaced"):
        await database.write(put("b"))
    await database.aclose()
    again = await Database.open(database.path.parent)
    assert again.recovered_from is not None
    assert "was gone" in again.recovered_from
    assert await keys(again) == []
    await again.aclose()


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    await database.aclose()
    await database.aclose()
    with pytest.raises(StateError, match="closed"):
        await database.write(put("a"))
    with pytest.raises(StateError, match="closed"):
        await keys(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.db", "state.lock"]


async def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be used"):
        await Database.open(tmp_path / "file" / "state")
