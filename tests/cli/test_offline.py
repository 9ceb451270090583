"""The commands that need no service: `catalog check` and `state`."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ENTRY = '{\n  "id": "a",\n  "hfModelId": "owner/name"\n}\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "catalog" / "models"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(ENTRY)
    return folder


def test_a_sound_catalog(run: Run, models: Path) -> None:
    assert run("catalog", "check", str(models.parent)) == (0, "", "No problems.\n")


def test_the_starter_catalog_is_sound(run: Run) -> None:
    assert run("catalog", "check", "examples/catalog", "--strict").code == 0


def test_errors_are_told_by_file_line_and_column(run: Run, models: Path) -> None:
    (models / "b.json").write_text('{\n  "id": "b",\n  "hfModelId": 7\n}\n')
    code, out, err = run("catalog", "check", str(models.parent))
    assert code == 1
    assert out.startswith("models/b.json:3:16: error: hfModelId: ")
    assert err == "1 error, 0 warnings.\n"


def test_warnings_fail_only_when_asked(run: Run, models: Path) -> None:
    (models / "b.json").write_text('{\n  "id": "b",\n  "hfModelId": "a/b",\n  "taggs": []\n}\n')
    code, out, _ = run("catalog", "check", str(models.parent))
    assert code == 0
    assert ": warning: taggs: " in out
    assert "tags" in out.splitlines()[1]
    assert run("catalog", "check", str(models.parent), "--strict").code == 1


def test_no_catalog_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("catalog", "check", str(tmp_path / "nowhere"))
    assert code == 5
    assert "does not exist" in err


def test_no_state_there(run: Run, tmp_path: Path) -> None:
    for arguments in (("check",), ("backup", str(tmp_path / "copy.db"))):
        code, _, err = run("state", *arguments, "--state-path", str(tmp_path))
        assert code == 5
        assert f"There is no state in {tmp_path}." in err


def test_s6_a_damaged_state(run: Run, state: Path) -> None:
    state.mkdir()
    with sqlite3.connect(state / "state.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    data = bytearray((state / "state.db").read_bytes())
    data[:16] = b"not a database.."
    (state / "state.db").write_bytes(data)
    code, out, _ = run("state", "check")
    assert code == 1
    assert str(state / "state.db") in out
    code, told, err = run("state", "check", "-o", "json")
    assert (code, err) == (1, "")
    assert json.loads(told) == {"path": str(state), "problems": out.splitlines()}
