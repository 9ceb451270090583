"""What a models folder may hold besides entries."""

import os
import threading
from pathlib import Path

import pytest

from model_manager.catalog.files import Reading, Vanished, read_all, read_named
from model_manager.errors import Unavailable
from tests.catalog.conftest import Repo


def read(repo: Repo, previous: Reading | None = None) -> Reading:
    return read_all(repo.path, "models", previous.results if previous else {}, trust_stamps=True)


def only_problem(reading: Reading, name: str) -> str:
    (problem,) = reading.results[f"{name}.json"].problems
    assert reading.results[f"{name}.json"].entry is None
    return str(problem)


@pytest.fixture(autouse=True)
def good(repo: Repo) -> None:
    repo.put("good")


def make_folder(repo: Repo) -> None:
    (repo.path / "models/x.json").mkdir()


def make_fifo(repo: Repo) -> None:
    os.mkfifo(repo.path / "models/x.json")


def link_to(target: str) -> object:
    return lambda repo: (repo.path / "models/x.json").symlink_to(target)


def make_loop(repo: Repo) -> None:
    (repo.path / "models/x.json").symlink_to("y.json")
    (repo.path / "models/y.json").symlink_to("x.json")


ODD = {
    "folder": (make_folder, "is a folder, not a file"),
    "fifo": (make_fifo, "is no regular file"),
    "link to /etc": (link_to("/etc/passwd"), "leads out of the catalog and is not followed"),
    "link upwards": (link_to("../../outside.json"), "leads out of the catalog"),
    "link into .git": (link_to("../.git/HEAD"), "leads out of the catalog"),
    "dangling link": (link_to("gone.json"), "is a link that leads nowhere"),
    "loop": (make_loop, "is a link that leads nowhere"),
    "link to a folder": (link_to("../models"), "is a folder, not a file"),
    "device": (link_to("/dev/zero"), "leads out of the catalog"),
}


@pytest.mark.parametrize(("make", "expected"), ODD.values(), ids=ODD.keys())
def test_t3_t7_odd_things_are_problems_and_stop_nothing(repo: Repo, make: object, expected: str) -> None:
    (repo.path.parent / "outside.json").write_text('{"id":"x"}')
    make(repo)  # type: ignore[operator]
    reading = read(repo)
    assert expected in only_problem(reading, "x")
    assert reading.results["good.json"].entry


def test_t7_a_models_folder_that_leaves_the_catalog_is_not_read(repo: Repo, tmp_path: Path) -> None:
    (repo.path / "models").rename(tmp_path / "elsewhere")
    (repo.path / "models").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="leads out of the catalog"):
        read(repo)


def test_t7_an_audit_of_every_open_stays_inside(repo: Repo) -> None:
    import sys

    (repo.path / "models/x.json").symlink_to("/etc/hostname")
    (repo.path / "models/y.json").symlink_to("good.json")
    opened: list[str] = []
    watching = [True]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching[0] and event == "open" and isinstance(arguments[0], str | os.PathLike):
            opened.append(os.fspath(arguments[0]))

    sys.addaudithook(hook)  # cannot be removed: it sleeps after this
    try:
        reading = read(repo)
    finally:
        watching[0] = False
    assert reading.results["y.json"].entry
    assert opened and all(path.startswith(str(repo.path)) for path in opened), opened


def test_an_unreadable_file_is_a_problem(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = repo.put("x")
    path.chmod(0)
    real_open = os.open

    def deny(
        name: object, *args: int
    ) -> int:  # root may read anything: say what the kernel would tell others
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied")
        return real_open(name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", deny)
    assert "cannot be read: Permission denied" in only_problem(read(repo), "x")


def test_near_misses_are_named_and_dot_files_are_not(repo: Repo) -> None:
    for name in ("a.yaml", "b.JSON", ".#good.json", ".hidden.json", "README.md", "notes.txt"):
        (repo.path / "models" / name).write_text("x")
    reading = read(repo)
    assert sorted(reading.results) == ["a.yaml", "b.JSON", "good.json"]
    assert [reading.results[name].problems[0].severity for name in ("a.yaml", "b.JSON")] == [
        "warning",
        "warning",
    ]


def test_a_name_that_is_no_text_is_shown_escaped(repo: Repo) -> None:
    (repo.path / "models" / os.fsdecode(b"\xff\n.json")).write_bytes(b"{")
    (problem,) = [problem for result in read(repo).results.values() for problem in result.problems]
    assert "\\xff\\n.json" in str(problem)
    str(problem).encode()


def test_an_unchanged_file_is_parsed_once(repo: Repo) -> None:
    first = read(repo)
    assert set(first.fresh) == {"good.json"}
    repo.put("new")
    second = read(repo, first)
    assert set(second.fresh) == {"new.json"}
    assert second.results["good.json"].entry is first.results["good.json"].entry


def test_an_edit_that_keeps_size_and_time_is_seen(repo: Repo) -> None:
    path = repo.put("good", displayName="one")
    first = read(repo)
    times = path.stat()
    path.write_text(path.read_text().replace("one", "two"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    entry = read(repo, first).results["good.json"].entry
    assert entry and entry.display_name == "two"


def test_of_named_files_only_those_and_links_are_read(repo: Repo) -> None:
    shared = repo.path / "shared.json"
    shared.write_text('{"id":"linked","hfModelId":"a/b"}')
    (repo.path / "models/linked.json").symlink_to("../shared.json")
    repo.put("gone"), repo.put("other")
    first = read(repo)
    repo.put("good", displayName="new")
    repo.put("other", displayName="not named, so not seen")
    repo.remove("gone")
    shared.write_text('{"id":"linked","hfModelId":"c/d"}')
    second = read_named(repo.path, "models", first.results, ["good.json", "gone.json"])
    assert sorted(second.results) == ["good.json", "linked.json", "other.json"]
    assert sorted(second.fresh) == ["good.json", "linked.json"]


def test_t1_a_folder_that_changes_while_it_is_read_has_vanished(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(20):
        repo.put(f"m{index}")
    real_open = os.open

    def remove_another(name: object, *args: int) -> int:
        (repo.path / "models/m9.json").unlink(missing_ok=True)
        return real_open(name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", remove_another)
    with pytest.raises(Vanished):
        read(repo)


def test_the_content_revision_changes_with_every_byte(repo: Repo) -> None:
    first = read(repo)
    assert read(repo, first).content_revision() == first.content_revision()
    path = repo.put("good")
    path.write_text(path.read_text() + "\n")
    assert read(repo, first).content_revision() != first.content_revision()


def test_t4_a_huge_file_is_not_read_whole(repo: Repo) -> None:
    with (repo.path / "models/x.json").open("wb") as file:
        file.truncate(8 << 30)  # sparse: it takes no room, reading it would
    done = threading.Event()
    threading.Thread(target=lambda: (only_problem(read(repo), "x"), done.set()), daemon=True).start()
    assert done.wait(10)
