"""Backups of a live service, and checks."""

from pathlib import Path

import pytest

from model_manager.errors import Conflict, NotFound, StateError
from model_manager.state.backup import backup, check
from model_manager.state.database import Database
from tests.state.rows import keys, put


async def test_s7_a_backup_of_a_live_service_holds_what_is_only_in_the_log(
    database: Database, tmp_path: Path
) -> None:
    await database.write(put("a"))
    target = tmp_path / "backups" / "state.db"
    target.parent.mkdir()
    backup(database.path.parent, target)
    await database.write(put("b"))
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o600

    restored = await Database.open(target.parent)
    assert (await keys(restored), restored.recovered_from) == (["a"], None)
    await restored.aclose()


async def test_a_backup_never_overwrites(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    with pytest.raises(Conflict):
        backup(database.path.parent, target)
    assert target.read_text() == "mine"


async def test_a_backup_that_cannot_be_written_is_a_sentence(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be written"):
        backup(database.path.parent, tmp_path / "nowhere" / "state.db")


def test_without_a_state_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        backup(tmp_path, tmp_path / "copy")
    with pytest.raises(NotFound):
        check(tmp_path)


async def test_check_finds_nothing_in_a_sound_state_and_says_what_is_broken(tmp_path: Path) -> None:
    database = await Database.open(tmp_path)
    await database.write(put(*map(str, range(1000))))
    assert check(tmp_path) == []
    await database.aclose()
    assert check(tmp_path) == []
    content = bytearray(database.path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 16] = b"\xa5" * 16
    database.path.write_bytes(content)
    problems = check(tmp_path)
    assert problems
    assert all(str(database.path) in problem for problem in problems)
    assert database.path.read_bytes() == content
