"""The catalog of one's own that the first start makes."""

import filecmp
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.catalog import starter
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.source import FolderSource, open_source
from model_manager.catalog.starter import create_starter, example_catalog
from model_manager.catalog.tree import Source
from model_manager.errors import StateError, Unavailable
from tests.catalog.conftest import run


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "state" / "catalog"


def test_it_is_a_repository_with_one_commit_and_everything_in_it(target: Path) -> None:
    assert create_starter(target) == target
    assert run("git", "status", "--porcelain", "--ignored", cwd=target) == ""
    assert run("git", "rev-list", "--count", "HEAD", cwd=target) == "1"
    files = run("git", "ls-files", cwd=target).splitlines()
    assert "weights/demo/demo.gguf" in files and "catalog.schema.json" in files
    assert filecmp.cmp(
        target / "weights/demo/demo.gguf", example_catalog() / "weights/demo/demo.gguf", shallow=False
    )


def test_its_owner_can_commit_without_an_identity_of_their_own(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    create_starter(target)
    (target / "models/mine.json").write_text('{"id":"mine","hfModelId":"o/n"}')
    run("git", "add", "--all", cwd=target)
    run("git", "commit", "--quiet", "--message", "Add mine", cwd=target)
    assert (
        run("git", "log", "-1", "--format=%an <%ae>", cwd=target) == "Model Manager <model-manager@localhost>"
    )


def test_settings_of_the_user_do_not_change_it(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignore").write_text("*.gguf\n*.json\n")
    (tmp_path / ".gitconfig").write_text(
        f"[core]\nautocrlf = true\nexcludesFile = {tmp_path / 'ignore'}\n"
        "[commit]\ngpgSign = true\n[init]\ndefaultBranch = x\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    create_starter(target)
    assert "models/demo.json" in run("git", "ls-files", cwd=target).splitlines()
    assert run("git", "rev-parse", "--abbrev-ref", "HEAD", cwd=target) == "main"


def test_later_commits_and_changes_stay(target: Path) -> None:
    create_starter(target)
    (target / "models/demo.json").unlink()
    run("git", "commit", "--quiet", "--all", "--message", "Remove the demo", cwd=target)
    (target / "models/demo-pirate.json").write_text("{}")
    head = run("git", "rev-parse", "HEAD", cwd=target)
    create_starter(target)
    assert run("git", "rev-parse", "HEAD", cwd=target) == head
    assert not (target / "models/demo.json").exists()
    assert (target / "models/demo-pirate.json").read_text() == "{}"


def test_a_folder_that_is_somebodys_is_left_alone(target: Path) -> None:
    target.mkdir(parents=True)
    (target / "mine").touch()
    create_starter(target)
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_a_start_that_was_killed_half_way_is_done_again(target: Path) -> None:
    half = target.with_name(".catalog.new")
    (half / "models").mkdir(parents=True)
    target.mkdir()
    create_starter(target)
    assert (target / ".git").is_dir() and not half.exists()


def test_without_git_there_is_a_sentence(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="git is not installed"):
        create_starter(target)
    assert not target.exists()


def test_without_an_example_there_is_a_sentence(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "_PACKAGE", tmp_path / "a/b/c")
    with pytest.raises(StateError, match="missing from this installation"):
        create_starter(target)


@pytest.mark.parametrize("kind", ["folder", "git"])
async def test_both_ways_to_read_it(
    target: Path, tmp_path: Path, catalog_of: Callable[[Source], Catalog], kind: str
) -> None:
    create_starter(target)
    source = (
        FolderSource(target)
        if kind == "folder"
        else open_source(None, str(target), work_folder=tmp_path / "work")
    )
    snapshot = await catalog_of(source).refresh()
    assert snapshot.revision == run("git", "rev-parse", "HEAD", cwd=target)
    assert {"demo", "demo-pirate"} < snapshot.items.keys() and snapshot.problems == ()
    uri = snapshot.items["demo"].entry.source.uri  # type: ignore[union-attr]
    assert (Path(snapshot.tree) / uri.removeprefix("file:") / "demo.gguf").is_file()


def test_a_disk_without_room_for_it_is_told(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StateError, match=r"cannot be made: No space left on device\.$") as caught:
        create_starter(target)
    assert "STATE_PATH" in caught.value.hint
    assert not target.exists()
