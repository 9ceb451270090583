"""kill -9 and a failing disk, on real processes: what was acknowledged survives, the rest never was."""

import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.state import migrations
from model_manager.state.database import Database
from tests.state.program import CURRENT, NEXT, ROWS
from tests.state.rows import keys, put

PROGRAM = [sys.executable, "-m", "tests.state.program"]
STEPS = (*migrations.packaged(), NEXT)


def test_s1_killed_in_mid_transaction(tmp_path: Path) -> None:
    """Twelve kills at random moments of a program that commits as fast as it can."""
    moment = random.Random(1)
    for _ in range(12):
        with subprocess.Popen(
            [*PROGRAM, "write", str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            for _ in range(moment.randint(1, 40)):
                process.stdout.readline()
            process.kill()
            acknowledged = [int(line) for line in process.stdout.read().splitlines() if line.isdigit()]
        connection = sqlite3.connect(tmp_path / "state.db")
        found = [key for (key,) in connection.execute("SELECT key FROM catalog_state ORDER BY key")]
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        connection.close()
        count = len(found) // ROWS
        assert found == [f"{number:06}-{row:02}" for number in range(count) for row in range(ROWS)]
        assert count > max(acknowledged, default=0)


def test_s11_a_commit_that_the_disk_refuses_is_reported_and_undone(tmp_path: Path) -> None:
    said = subprocess.run([*PROGRAM, "full_disk", str(tmp_path)], check=True, capture_output=True, text=True)
    result = json.loads(said.stdout)
    assert "nothing was changed" in result["sentence"]
    assert result["called"] == []
    assert result["keys"] == ["after", "before"]


def migrate_killed_at(folder: Path, statement: int) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([*PROGRAM, "migrate", str(folder), str(statement)], check=False)


async def test_s10_killed_at_every_statement_of_a_migration(tmp_path: Path) -> None:
    """The file is at the old or the new version, whole; the next start finishes; the copy is of the old one."""
    killed, versions = 0, set()
    for statement in range(1, 1000):
        folder = tmp_path / str(statement)
        database = await Database.open(folder)
        await database.write(put("kept"))
        await database.aclose()
        ended = migrate_killed_at(folder, statement)
        if ended.returncode == 0:
            break
        assert ended.returncode == -9
        killed += 1

        connection = sqlite3.connect(folder / "state.db")
        version = migrations.schema_version(connection)
        added = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'added'").fetchone()[0]
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        connection.close()
        assert (version, added) in {(CURRENT, 0), (CURRENT + 1, 1)}
        versions.add(version)

        database = await Database.open(folder, steps=STEPS)
        assert (await keys(database), database.recovered_from) == (["kept"], None)
        row = await database.read(
            lambda connection: connection.execute("SELECT count(*) FROM added").fetchone()
        )
        assert row[0] == 1
        await database.aclose()
        copy = sqlite3.connect(folder / f"state.v{CURRENT}.db")
        assert migrations.schema_version(copy) == CURRENT
        assert copy.execute("SELECT key FROM catalog_state").fetchall() == [("kept",)]
        copy.close()
        assert not list(folder.glob("*.partial"))
    assert killed >= 6
    assert versions == {CURRENT}, "a kill before COMMIT leaves the old version"


async def test_s10_a_failing_step_changes_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    await database.write(put("kept"))
    await database.aclose()
    broken = migrations.Migration(CURRENT + 1, "CREATE TABLE added (a);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        await Database.open(tmp_path, steps=(*migrations.packaged(), broken))
    again = await Database.open(tmp_path)
    assert await keys(again) == ["kept"]
    await again.aclose()
