"""Upgrades, and the way back from one."""

from pathlib import Path

import pytest

from model_manager.errors import StateError
from model_manager.state import migrations
from model_manager.state.database import Database
from tests.state.program import CURRENT, NEXT
from tests.state.rows import keys, put

STEPS = (*migrations.packaged(), NEXT)


async def upgraded(folder: Path) -> Path:
    """A state that was made by this version, then used by a newer one."""
    database = await Database.open(folder)
    await database.write(put("old"))
    await database.aclose()
    database = await Database.open(folder, steps=STEPS)
    await database.write(put("young"))
    await database.aclose()
    return database.path


def test_packaged_steps_are_numbered_without_a_hole() -> None:
    assert [step.version for step in migrations.packaged()] == list(range(1, len(migrations.packaged()) + 1))


async def test_s10_a_newer_schema_is_refused_unharmed_and_names_the_copy(tmp_path: Path) -> None:
    path = await upgraded(tmp_path)
    content = path.read_bytes()
    with pytest.raises(StateError, match=f"schema {CURRENT + 1}, written by a newer version") as refusal:
        await Database.open(tmp_path)
    assert f"state.v{CURRENT}.db" in refusal.value.hint
    assert path.read_bytes() == content
    assert not list(tmp_path.glob("*.damaged-*"))

    again = await Database.open(tmp_path, steps=STEPS)
    assert await keys(again) == ["old", "young"]
    await again.aclose()


async def test_s10_the_hint_works(tmp_path: Path) -> None:
    path = await upgraded(tmp_path)
    path.rename(tmp_path / "aside.db")
    (tmp_path / f"state.v{CURRENT}.db").rename(path)
    database = await Database.open(tmp_path)
    assert (await keys(database), database.recovered_from) == (["old"], None)
    await database.aclose()


async def test_s10_without_a_copy_the_hint_says_so(tmp_path: Path) -> None:
    await upgraded(tmp_path)
    (tmp_path / f"state.v{CURRENT}.db").unlink()
    with pytest.raises(StateError) as refusal:
        await Database.open(tmp_path)
    assert "no copy" in refusal.value.hint
