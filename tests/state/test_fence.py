"""Two services on one state: whoever came last writes, and the one before it cannot any more."""

import sqlite3
from pathlib import Path

import pytest

from model_manager.state import migrations
from model_manager.state.database import Database
from model_manager.state.fence import Fenced
from tests.state.rows import keys, put

OLD = migrations.packaged()[:-1]


def overtake(database: Database, token: int) -> None:
    """As a service on another machine does it, which this machine's lock does not hold off."""
    outside = sqlite3.connect(database.path)
    outside.execute("UPDATE fence SET token = ?", (token,))
    outside.commit()
    outside.close()


async def test_s9_who_was_overtaken_saves_nothing_and_can_still_read(tmp_path: Path) -> None:
    database = await Database.open(tmp_path, token=4)
    await database.write(put("before"))
    overtake(database, 5)
    with pytest.raises(Fenced, match="taken over") as refused:
        await database.write(put("after"))
    assert (refused.value.token, refused.value.status) == (5, 503)
    assert await keys(database) == ["before"]
    await database.aclose()


@pytest.mark.parametrize("token", [3, 4])
async def test_s9_a_token_that_was_met_before_opens_nothing(tmp_path: Path, token: int) -> None:
    await (await Database.open(tmp_path, token=4)).aclose()
    with pytest.raises(Fenced) as refused:
        await Database.open(tmp_path, token=token)
    assert refused.value.token == 4
    await (await Database.open(tmp_path, token=5)).aclose()


async def test_s9_what_was_overtaken_migrates_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path, token=4)
    await database.aclose()
    further = migrations.Migration(len(OLD) + 2, "CREATE TABLE added (a);")
    with pytest.raises(Fenced):
        await Database.open(tmp_path, token=4, steps=(*migrations.packaged(), further))
    connection = sqlite3.connect(database.path)
    assert migrations.schema_version(connection) == len(OLD) + 1
    connection.close()


async def test_a_state_from_before_the_fence_is_taken_by_any_token(tmp_path: Path) -> None:
    await (await Database.open(tmp_path, steps=OLD)).aclose()
    database = await Database.open(tmp_path, token=1)
    await database.write(put("a"))
    assert await keys(database) == ["a"]
    await database.aclose()


async def test_without_a_token_nobody_is_fenced(database: Database) -> None:
    """One machine: the folder's lock is enough."""
    overtake(database, 7)
    await database.write(put("a"))
    assert await keys(database) == ["a"]
