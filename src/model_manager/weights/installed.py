"""The weights manifest `.weights.json`: what was installed, from where, and what each file must hash to."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from model_manager.weights.names import MANIFEST_NAME
from model_manager.weights.plan import Plan, PlannedFile

MAX_MANIFEST = 64 << 20
"""Bytes; a larger `.weights.json` is not one of ours."""


class InstalledFile(Struct, frozen=True):
    """One verified file: path below the folder, bytes, SHA-256 of its content."""

    path: str
    size: int
    sha256: str


class InstalledWeights(Struct, frozen=True, rename="camel", kw_only=True):
    """A folder of weights. `size` in bytes, `installed_at` in ISO 8601 UTC, `entry` a catalog id."""

    folder: str
    source: dict[str, Any]
    revision: str
    entry: str | None
    files: list[InstalledFile]
    size: int
    installed_at: str
    installed_by: str

    def files_present(self, folder: Path) -> bool:
        """Whether every listed file is there with its size. Looks, does not hash."""
        try:
            return all((folder / file.path).lstat().st_size == file.size for file in self.files)
        except OSError:
            return False


# Made at import, by one thread: see `catalog.entry.DECODER`.
_DECODER = msgspec.json.Decoder(InstalledWeights)


def content_revision(files: Iterable[InstalledFile]) -> str:
    """A revision for sources that have no commit: one hash over the names and hashes of all files."""
    lines = sorted(f"{file.sha256}  {file.path}\n" for file in files)
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def read_manifest(folder: Path) -> InstalledWeights | None:
    """The manifest in a folder; None where there is none, or none that can be read and trusted."""
    path = folder / MANIFEST_NAME
    try:
        if path.is_symlink() or path.stat().st_size > MAX_MANIFEST:
            return None
        return _DECODER.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def encode_manifest(weights: InstalledWeights) -> bytes:
    """As it is written: indented, for people who look."""
    return msgspec.json.format(msgspec.json.encode(weights), indent=2) + b"\n"


def unchanged(installed: InstalledWeights, plan: Plan, folder: Path, check: Callable[[], None]) -> bool:
    """Whether a folder already is what a plan would make of it, by source, revision, names, sizes and hashes.

    A local source that promises no hash is read once for it; `check` is called between chunks and may raise.
    """
    if installed.source != plan.source or (plan.revision and installed.revision != plan.revision):
        return False
    have = {file.path: file for file in installed.files}
    if have.keys() != {file.path for file in plan.files} or not installed.files_present(folder):
        return False
    return all(_same(have[file.path], file, check) for file in plan.files)


def _same(have: InstalledFile, planned: PlannedFile, check: Callable[[], None]) -> bool:
    if have.size != planned.size:
        return False
    if planned.git_sha1:  # the commit is the same, and it fixes this file
        return True
    wanted = planned.sha256 or (planned.local and _digest(planned.local, check))
    return have.sha256 == wanted


def _digest(path: str, check: Callable[[], None]) -> str:
    sha256 = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            check()
            sha256.update(chunk)
    return sha256.hexdigest()
