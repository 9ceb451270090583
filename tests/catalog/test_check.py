"""The gate for catalog repositories."""

import json
from pathlib import Path

import pytest

from model_manager.catalog.check import check
from model_manager.errors import NotFound, Unavailable
from tests.catalog.conftest import Repo


def told(path: Path) -> list[str]:
    return [str(problem) for problem in check(path)]


def test_problems_come_by_file_and_line(repo: Repo) -> None:
    repo.put("b", '{\n"id": "a",\n"hfModelId":"o/n","vllm":{"dtype":1}}')
    repo.put("a")
    repo.put("c", '{\n\n"id": "a",\n"hfModelId":"o/n"}')
    assert [line.split(" ")[0] for line in told(repo.path)] == [
        "models/a.json:2:8:",
        "models/b.json:3:35:",
        "models/c.json:3:7:",
        "models/c.json:3:7:",
    ]


def test_a_folder_of_entries_and_a_single_file(repo: Repo) -> None:
    path = repo.put("a", "{")
    assert told(repo.path / "models")[0].startswith("a.json:1:2: ")
    assert told(path)[0].startswith("a.json:1:2: ")


def test_weights_in_the_catalog_must_be_there(repo: Repo, tmp_path: Path) -> None:
    weights = repo.path / "weights/demo"
    weights.mkdir(parents=True)
    (weights / "good").write_text("12345")
    (tmp_path / "outside").write_text("x")
    (weights / "link").symlink_to(tmp_path / "outside")
    files = [{"path": "good", "size": 5}, {"path": "gone"}, {"path": "good", "size": 6}, {"path": "link"}]
    entry = {"id": "demo", "source": {"uri": "file:weights/demo", "files": files}}
    repo.put("demo", json.dumps(entry))
    messages = [problem.message for problem in check(repo.path)]
    assert messages == [
        "`gone` is not in file:weights/demo",
        "`good` has 5 bytes, not 6",
        "`link` is a link that leads out of the catalog",
    ]


def test_nothing_to_check_is_an_error(repo: Repo, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check(tmp_path / "nope")
    with pytest.raises(Unavailable, match=r"holds no \.json file"):
        check(repo.path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(Unavailable, match="has no folder models"):
        check(tmp_path / "bare")
