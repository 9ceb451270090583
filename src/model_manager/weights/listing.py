"""What lies below the root: weights of ours, folders on the way to them, and what is not ours. Looks only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

from model_manager.weights.installed import InstalledWeights, read_manifest
from model_manager.weights.names import MAX_DEPTH

Found = tuple[Path, str, InstalledWeights | None]
"""Path, name below the root, and the manifest; None where it is not ours."""


def walk(root: Path, hidden: frozenset[str]) -> Iterator[Found]:
    """Every installed folder with its manifest, and every topmost thing that is not ours with None.

    `hidden` are first-level names to pass over. Reads no file but manifests, follows no symlink.
    """
    for item in _scan(root):
        if item.name not in hidden:
            yield from _found(item, "", MAX_DEPTH)


def _found(item: os.DirEntry[str], prefix: str, depth: int) -> Iterator[Found]:
    """What one name below the root is: weights, a folder on the way to some, or nothing of ours."""
    path = Path(item.path)
    name = prefix + os.fsencode(item.name).decode(errors="backslashreplace")
    if not item.is_dir(follow_symlinks=False):
        yield path, name, None
    elif weights := manifest_at(path, name):
        yield path, name, weights
    elif _holds_weights(path, depth - 1):
        for below in _scan(path):
            yield from _found(below, name + "/", depth - 1)
    elif not is_empty_folder(path):
        yield path, name, None


def manifest_at(path: Path, folder: str) -> InstalledWeights | None:
    """The manifest, under the name its folder has now: someone may have moved it by hand."""
    weights = read_manifest(path)
    if weights is None or weights.folder == folder:
        return weights
    return structs.replace(weights, folder=folder)


def _holds_weights(folder: Path, depth: int) -> bool:
    """Whether installed weights lie below, at most `depth` levels down."""
    for item in _scan(folder) if depth else ():
        if item.is_dir(follow_symlinks=False):
            path = Path(item.path)
            if read_manifest(path) or _holds_weights(path, depth - 1):
                return True
    return False


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing when it cannot be read or has just gone."""
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError:
        return []


def is_empty_folder(path: Path) -> bool:
    """An empty folder is nobody's: the kubelet makes one when a pod mounts a sub path that is not there yet."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode) and not any(path.iterdir())
    except OSError:
        return False


def size_of(path: Path) -> int:
    """Bytes of the plain files below a path; symlinks are not followed, what vanishes meanwhile counts nothing."""
    try:
        info = path.lstat()
        if stat.S_ISDIR(info.st_mode):
            return sum(size_of(Path(item.path)) for item in _scan(path))
        return info.st_size if stat.S_ISREG(info.st_mode) else 0
    except OSError:
        return 0
