"""The port to where catalogs come from: a tree to read, at a revision. Implemented by `source.py` and `git.py`."""

from pathlib import Path
from typing import Protocol

from msgspec import Struct


class Tree(Struct, frozen=True):
    """A folder that holds a catalog at a revision.

    `commit`: the folder is exactly what that commit holds. Otherwise `revision` is the commit that the folder was
    changed from, or "" for none, and what is in it decides.
    """

    path: Path
    revision: str
    commit: bool


class Source(Protocol):
    """What the catalog asks of a source. Failures are Unavailable, with a sentence and a hint."""

    kind: str
    location: str  # for people: a path or a URL without credentials

    async def fetch(self) -> Tree:
        """The newest tree, fetched if it has to be."""

    async def current(self) -> Tree:
        """The tree as it is now, without asking anybody: has it moved while it was read?"""

    async def changed(self, old: Tree, new: Tree, folder: str) -> list[str] | None:
        """Names in `folder` that differ between two commits; None when it cannot be told (read everything)."""

    async def aclose(self) -> None:
        """Let go of what is open."""
