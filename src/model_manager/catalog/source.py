"""Where a catalog comes from: a folder, a link that git-sync keeps, or a Git URL that the service follows itself.

A source names the tree to read and the commit it is at. It never reads entries.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from model_manager.catalog.git import GitSource
from model_manager.catalog.gitcommand import changed_names, git
from model_manager.catalog.gitfailure import GitFailed
from model_manager.catalog.tree import Source, Tree
from model_manager.errors import Unavailable

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class FolderSource:
    """A folder. When it is a Git worktree, its revision is the commit that is checked out there."""

    kind = "folder"

    def __init__(self, path: Path, models_subdir: str = "models") -> None:
        self.location = str(path)
        self._path = path
        self._scope = models_subdir

    async def fetch(self) -> Tree:
        """The folder and its state now."""
        return await self.current()

    async def current(self) -> Tree:
        """The folder and its state now."""
        return await _state_of(_resolved(self._path), self._scope)

    async def changed(self, old: Tree, new: Tree, folder: str) -> list[str] | None:
        """None: by the file system: two looks at one folder are compared file by file, which costs less than Git."""
        return None

    async def aclose(self) -> None:
        """Nothing is open."""


class LinkSource(FolderSource):
    """A symlink to a tree named after its commit, flipped by rename: what git-sync v4 fetches and keeps."""

    kind = "link"

    async def current(self) -> Tree:
        """Where the link leads now, read once: everything is then read below that, never through the link."""
        tree = _resolved(self._path)
        if _COMMIT.fullmatch(tree.name):
            return Tree(tree, tree.name, commit=True)
        return await _state_of(tree, self._scope)

    async def changed(self, old: Tree, new: Tree, folder: str) -> list[str] | None:
        """Ask Git in the new tree: it shares its objects with the old one, which may be gone by now."""
        return await changed_names(new.path, old.revision, new.revision, folder)


def open_source(
    root: Path | None,
    url: str | None,
    *,
    models_subdir: str = "models",
    ref: str = "HEAD",
    work_folder: Path | None = None,
    credentials_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Source:
    """The source for these settings: a Git URL if there is one, else a link or a folder.

    `environment` is for git alone (proxies, SSH agent). Raises SettingsError for a URL that must not be used.
    """
    if url:
        assert work_folder is not None, "a Git URL needs a folder to work in"
        return GitSource(url, ref, work_folder, credentials_file, environment=environment)
    assert root is not None
    # git-sync may not have made its link yet: something that is not there is taken for a link to come
    is_link = root.is_symlink() or not root.exists()
    return LinkSource(root, models_subdir) if is_link else FolderSource(root, models_subdir)


def _resolved(path: Path) -> Path:
    try:
        tree = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        if path.is_symlink():
            what, hint = f"The link {path} leads to nothing.", "It is read as soon as it is back."
        else:
            what = f"The catalog {path} is not there."
            hint = "It is read as soon as it appears; is the path right?"
        raise Unavailable(what, hint) from error
    if not tree.is_dir():
        raise Unavailable(
            f"The catalog {path} is not a folder.", "Point the service at a folder with models/*.json."
        )
    return tree


async def _state_of(folder: Path, scope: str) -> Tree:
    """A folder's commit, if it is the top of a worktree and nothing in its `scope` differs from that commit.

    None of another user's repository, which git does not trust: there the content alone decides.
    """
    if not (folder / ".git").exists():
        return Tree(folder, "", commit=False)
    try:
        out = await git(
            "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all",
            "--ignored=matching", "--", scope or ".", cwd=folder, timeout=30,
        )  # fmt: skip
    except GitFailed:
        return Tree(folder, "", commit=False)
    lines = [line for line in out.split("\0") if line]
    head = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
    if not _COMMIT.fullmatch(head):  # "(initial)": no commit yet
        return Tree(folder, "", commit=False)
    return Tree(folder, head, commit=all(line.startswith("#") for line in lines))
