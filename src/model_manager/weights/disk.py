"""Durable steps on the volume: exclusive creation, synced folders, exchange, room, failures in words."""

import errno
import os
from pathlib import Path

from model_manager.errors import InsufficientStorage, ModelManagerError, Unavailable

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


def create(path: Path) -> int:
    """A descriptor of a new file. Never an existing one, never through a symlink at its end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def write_synced(path: Path, data: bytes) -> None:
    """A new file with this content, on the disk when this returns."""
    with os.fdopen(create(path), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: without it a power cut may undo a rename."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(top: Path) -> None:
    """`sync_folder` for a folder and all below it, deepest first."""
    for folder, _, _ in os.walk(top, topdown=False):
        sync_folder(Path(folder))


def exchange(one: Path, other: Path) -> bool:
    """Swap two existing names in one step (Linux `renameat2`); False where the file system cannot."""
    import ctypes  # only here: a start of the service has no use for it

    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    if swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))


def free_bytes(path: Path) -> int:
    """Bytes an ordinary user may still write on the file system of `path`."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize


def require_room(path: Path, need: int, reserve: int, what: str) -> None:
    """Refuse what does not fit beside the reserve; all in bytes."""
    free = free_bytes(path)
    if need + reserve > free:
        kept = f", of which {amount(reserve)} are kept in reserve" if reserve else ""
        lower = ", or lower MODEL_MANAGER_DISK_RESERVE" if need <= free else ""
        raise InsufficientStorage(
            f"{what} needs {amount(need)}, and {amount(free)} are free on {path}{kept}.",
            f"Delete weights that are not used (`model-manager weights list`), or enlarge the volume{lower}.",
            need=need,
            free=free,
            reserve=reserve,
            retryable=False,
        )


def require_same_file_system(one: Path, other: Path) -> None:
    """Refuse two folders that no rename connects: publishing would be a copy, which can be seen half done."""
    if one.stat().st_dev != other.stat().st_dev:
        raise Unavailable(
            f"{one} and {other} lie on different file systems, so weights cannot be published in one step.",
            "Mount the volume at the weights folder itself, and nothing below it.",
            retryable=False,
        )


def disk_error(error: OSError, what: str) -> ModelManagerError:
    """The sentence for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        why = {errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file is larger than allowed here"}
        return InsufficientStorage(
            f"The disk took no more while {what} was written: {why.get(error.errno, 'it is full')}.",
            "What was written has been removed. Free some room and retry.",
            retryable=False,
        )
    cause = os.strerror(error.errno) if error.errno else type(error).__name__
    return Unavailable(f"{what} could not be written: {cause}.", "Look at the volume of the weights folder.")


def amount(size: int) -> str:
    """Bytes in words: `774.9 kB`, `2.6 GB` (powers of 1000, as disks are sold)."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
