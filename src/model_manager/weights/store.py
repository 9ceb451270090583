"""The folder of installed weights: what is there, where it is, publishing into it and removing from it.

    root/<folder>/…                  weights, complete and verified, with .weights.json beside the files
    root/.staging/<name>/…           one install under way
    root/.trash/<name>/…             renamed away, being freed

Nothing in a visible folder is ever written: a folder appears by rename, is replaced by exchange and vanishes by
rename. What has no `.weights.json` is not ours and is never touched.
"""

import builtins
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from model_manager.errors import Conflict, NotFound, Unavailable
from model_manager.weights.disk import exchange, require_same_file_system, sync_folder, sync_tree
from model_manager.weights.installed import InstalledWeights
from model_manager.weights.listing import is_empty_folder, manifest_at, size_of, walk
from model_manager.weights.names import MANIFEST_NAME, check_folder, shown

STAGING = ".staging"
TRASH = ".trash"
_NOT_SHOWN = frozenset({STAGING, TRASH, "lost+found"})


class Usage(Struct, frozen=True, rename="camel"):
    """Bytes: `total`, `used` and `available` of the file system, `installed` in `count` folders of ours."""

    total: int
    used: int
    available: int
    installed: int
    count: int


class Foreign(Struct, frozen=True):
    """Something below the root that no install of ours put there; `size` in bytes."""

    path: str
    size: int


class WeightStore:
    """Weights below one root. Reads and renames only: no state of its own, so any process may make one.

    `reserve` is how many bytes an install must leave free.
    """

    def __init__(self, root: Path, reserve: int = 0) -> None:
        self.root = Path(os.path.realpath(root))
        self.reserve = reserve

    # -- looking ------------------------------------------------------------

    def path(self, folder: str) -> Path:
        """Where a folder is, or would be. Raises InvalidRequest or Conflict for what would leave the root."""
        path = self.root
        for part in check_folder(folder).split("/"):
            path = path / part
            if path.is_symlink():
                raise Conflict(f"{shown(folder)} goes through a symlink, which is not followed.")
        return path

    def find(self, folder: str) -> InstalledWeights | None:
        """The manifest of an installed folder; None when it is absent or not ours."""
        return manifest_at(self.path(folder), folder)

    def list(self) -> list[InstalledWeights]:
        """All installed weights, by folder name. Walks folders, reads manifests, hashes nothing."""
        found = [weights for _, _, weights in walk(self.root, _NOT_SHOWN) if weights]
        return sorted(found, key=lambda weights: weights.folder)

    def foreign(self) -> builtins.list[Foreign]:
        """What lies below the root and is not ours. Reported, never removed."""
        unknown = (
            Foreign(name, size_of(path))
            for path, name, weights in walk(self.root, _NOT_SHOWN)
            if weights is None
        )
        return sorted(unknown, key=lambda item: item.path)

    def usage(self) -> Usage:
        """The file system's own figures beside ours."""
        disk = os.statvfs(self.root)
        installed = self.list()
        return Usage(
            total=disk.f_blocks * disk.f_frsize,
            used=(disk.f_blocks - disk.f_bfree) * disk.f_frsize,
            available=disk.f_bavail * disk.f_frsize,
            installed=sum(weights.size for weights in installed),
            count=len(installed),
        )

    # -- changing -----------------------------------------------------------

    def prepare(self) -> builtins.list[str]:
        """At start: make the root, check that it can be used, clear what an interrupted install left.

        Returns sentences about what was cleared. Only for the one service that owns the root, before it starts
        workers. Raises Unavailable when the root cannot be used.
        """
        try:
            for name in (STAGING, TRASH):
                folder = self.root / name
                folder.mkdir(parents=True, exist_ok=True)
                if folder.is_symlink():
                    raise Unavailable(
                        f"{folder} is a symlink.", "Remove it: the service makes this folder itself."
                    )
                require_same_file_system(self.root, folder)
            return [sentence for name in (STAGING, TRASH) for sentence in self._clear(name)]
        except OSError as error:
            cause = os.strerror(error.errno or 0)
            raise Unavailable(
                f"The weights folder {self.root} cannot be used: {cause}.",
                "Check that the volume is mounted and that this user may write to it.",
            ) from error

    def stage(self, folder: str) -> Path:
        """An empty staging folder for an install of `folder`. What an earlier attempt left is cleared first."""
        self.discard(folder)
        staging = self._staging(folder)
        staging.mkdir(parents=True)
        require_same_file_system(self.root, staging)
        return staging

    def discard(self, folder: str) -> None:
        """Remove what an install of `folder` left in staging, if anything.

        It is renamed first: a thread which still writes into it finds its folder gone, and stops. Only for the one
        job that installs the folder, or after its end.
        """
        staging = self._staging(folder)
        if staging.is_dir():
            self._to_trash(staging)()

    def check_target(self, folder: str) -> None:
        """Refuse a folder that cannot be published without touching what is not ours: Conflict."""
        path = self.path(folder)
        for parent in path.parents:
            if parent == self.root:
                break
            if (parent / MANIFEST_NAME).exists():
                raise Conflict(
                    f"{shown(folder)} lies inside the weights {shown(parent.relative_to(self.root).as_posix())}.",
                    "Give the entry another folder in its storageUri.",
                )
        if self.find(folder) is None and path.exists() and not is_empty_folder(path):
            raise Conflict(
                f"{path} exists and was not installed by this service, so it is left alone.",
                "Move it away, or give the entry another folder: `pvc://<claim>/<folder>`.",
            )

    def publish(self, staging: Path, folder: str) -> None:
        """Make a complete staging folder visible in one step, durably; an old copy is exchanged, then freed.

        Where the file system cannot exchange two folders (NFS, some overlays), the old copy is renamed away just
        before: then a crash between two renames leaves the folder absent, never half.
        """
        target = self.path(folder)
        sync_tree(staging)
        self.check_target(folder)
        if manifest_at(target, folder) is None:
            self._appear(staging, target)
        elif exchange(staging, target):
            sync_folder(target.parent)
            self._to_trash(staging)()
        else:
            free = self._to_trash(target)
            self._appear(staging, target)
            free()

    def trash(self, folder: str) -> Callable[[], None]:
        """Make installed weights invisible at once, durably; the returned function frees their bytes.

        Raises NotFound for what is absent, Conflict for what is not ours.
        """
        path = self.path(folder)
        if manifest_at(path, folder) is None:
            if path.exists():
                raise Conflict(f"{path} was not installed by this service, so it is not removed.")
            raise NotFound(f"There are no weights {shown(folder)}.", "See `model-manager weights list`.")
        free = self._to_trash(path)
        self._remove_empty_parents(path)
        return free

    # -- inside -------------------------------------------------------------

    def _staging(self, folder: str) -> Path:
        """One place for each folder, so that a retry finds what a killed attempt left."""
        return self.root / STAGING / hashlib.sha256(folder.encode()).hexdigest()[:16]

    def _appear(self, staging: Path, target: Path) -> None:
        """Rename to where nothing is, and make every name on the way durable."""
        while True:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                require_same_file_system(target.parent, staging)
                staging.rename(target)
                break
            except FileNotFoundError:
                if not staging.exists():
                    raise
                # a removal of the last sibling took the parent away between the two lines: make it again
        for parent in target.parents:
            sync_folder(parent)
            if parent == self.root:
                break

    def _to_trash(self, path: Path) -> Callable[[], None]:
        trash = self.root / TRASH
        trash.mkdir(exist_ok=True)
        grave = trash / secrets.token_hex(8)
        path.rename(grave)
        sync_folder(path.parent)
        return lambda: shutil.rmtree(grave, ignore_errors=True)

    def _remove_empty_parents(self, path: Path) -> None:
        for parent in path.parents:
            if parent == self.root:
                break
            try:
                parent.rmdir()
            except OSError:
                break

    def _clear(self, name: str) -> Iterator[str]:
        what = {STAGING: "an interrupted install", TRASH: "removed weights"}[name]
        for left in sorted((self.root / name).iterdir()):
            size = size_of(left)
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
            yield f"Cleared {size} bytes that {what} left in {name}."
