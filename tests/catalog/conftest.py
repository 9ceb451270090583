"""A real Git repository, a real state file, and a catalog on top of them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog.catalog import Catalog
from model_manager.catalog.tree import Source
from model_manager.events import EventLog
from model_manager.state.database import Database


def run(*command: str, cwd: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


class Repo:
    """A repository of models, edited and committed as people do it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "models").mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Ann")
        self.git("config", "user.email", "ann@example.org")

    def git(self, *args: str) -> str:
        return run("git", *args, cwd=self.path)

    def put(self, name: str, content: Any = None, **fields: Any) -> Path:
        """Write models/<name>.json: an entry with these fields, or a text as it is."""
        path = self.path / "models" / f"{name}.json"
        entry = {"id": name, "hfModelId": "owner/name", **fields}
        path.write_text(content if isinstance(content, str) else json.dumps(entry, indent=1))
        return path

    def remove(self, name: str) -> None:
        (self.path / "models" / f"{name}.json").unlink()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


class Syncer:
    """What git-sync v4 does: a worktree for each commit, a link that is flipped by rename, the old tree removed."""

    def __init__(self, repo: Repo, root: Path, keep: bool = False) -> None:
        self.repo, self.root, self.keep = repo, root, keep
        self.link = root / "catalog"
        (root / ".worktrees").mkdir(parents=True)

    def sync(self) -> Path:
        commit = self.repo.git("rev-parse", "HEAD")
        tree = self.root / ".worktrees" / commit
        if not tree.exists():
            self.repo.git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        old = self.link.resolve() if self.link.exists() else None
        self.flip(commit)
        if old and old != tree and not self.keep:
            self.repo.git("worktree", "remove", "--force", str(old))
        return tree

    def flip(self, commit: str) -> None:
        temporary = self.root / ".link"
        temporary.symlink_to(Path(".worktrees") / commit)
        temporary.replace(self.link)


@pytest.fixture
def syncer(repo: Repo, tmp_path: Path) -> Syncer:
    return Syncer(repo, tmp_path / "sync")


@pytest.fixture
def catalog_of(database: Database, events: EventLog) -> Callable[[Source], Catalog]:
    """A catalog over a source; a second one is what a restart of the service makes."""
    return lambda source: Catalog(source, "models", database, events, 30.0)
