"""D16: kill -9 at any step leaves weights absent or complete, old or new; and the order of syncs against power cuts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.catalog.entry import Entry, Source
from model_manager.weights.install import work
from tests.weights.fakes import FakeControl, order


@pytest.mark.parametrize("scenario", ["fresh", "update", "update-without-exchange", "remove"])
def test_d16_killed_at_every_step(scenario: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.weights.crash", scenario, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= (5 if scenario == "remove" else 12)


@pytest.mark.parametrize("update", [False, True])
def test_everything_is_on_the_disk_before_the_rename_and_the_rename_after(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: bool
) -> None:
    tree = tmp_path / "tree"
    (tree / "w" / "sub").mkdir(parents=True)
    (tree / "w" / "a.gguf").write_bytes(b"a")
    (tree / "w" / "sub" / "b.json").write_bytes(b"b")
    entry = Entry(id="demo", source=Source(uri="file:w"))
    message = order(root, entry, "openai/demo", tree=str(tree), overwrite=True)
    if update:
        work(FakeControl(), message)  # type: ignore[arg-type]
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def told_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append(f"sync {'staging' if path.parent.name == '.staging' else path.name}")
        fsync(descriptor)

    def told_rename(path: Path, target: Path) -> Path:
        if target.name == "demo":
            events.append("publish")
        return rename(path, target)

    def told_exchange(one: Path, other: Path) -> bool:
        events.append("publish")
        return exchange(one, other)

    from model_manager.weights.disk import exchange

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(Path, "rename", told_rename)
    monkeypatch.setattr("model_manager.weights.store.exchange", told_exchange)
    work(FakeControl(), message)  # type: ignore[arg-type]
    publish = events.index("publish")
    before, after = events[:publish], events[publish:]
    files = {"sync a.gguf", "sync b.json", "sync .weights.json"}
    assert files <= set(before)
    assert before[-1] == "sync staging" and "sync sub" in before
    assert after[1] == "sync openai", "the name itself is durable"
    assert update or after[2] == "sync weights", "and so is its new parent's"
