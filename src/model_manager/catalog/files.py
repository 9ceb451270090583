"""Reading the models folder of one tree: which files there are, what each holds. Blocking: call it in a thread.

Nothing is followed out of the tree, nothing that is no regular file is read, and a file that was read before and
has not changed is not parsed again.
"""

import errno
import os
import stat
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from model_manager.catalog import scan
from model_manager.catalog.entry import Entry
from model_manager.catalog.parse import MAX_SIZE, parse
from model_manager.catalog.problem import Problem, Severity
from model_manager.errors import Unavailable

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a FIFO must not hold us up
_NEAR_MISSES = (".json", ".jsonc", ".json5", ".yaml", ".yml")
_RACY_NS = 2_000_000_000

Stamp = tuple[int, ...]


class FileResult(Struct, frozen=True, gc=False):
    """What one file was found to hold. `digest` is of its bytes ("" when they could not be read).

    `linked`: it was reached through a symlink inside the tree, so Git's diff of the models folder
    cannot tell when it changes. `stamp`: its inode's sizes and times, None while too fresh to be trusted.
    """

    file: str
    entry: Entry | None
    entry_hash: str
    digest: str
    problems: tuple[Problem, ...] = ()
    linked: bool = False
    stamp: Stamp | None = None


class Reading(Struct, frozen=True):
    """All files of a models folder by name, and the bytes of those that were parsed just now."""

    results: dict[str, FileResult]
    fresh: dict[str, bytes]

    def content_revision(self) -> str:
        """A revision for a folder that has none: it changes exactly when a file's bytes do."""
        lines = (f"{name}\0{self.results[name].digest}\n" for name in sorted(self.results))
        return sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


class Vanished(Exception):
    """A file or folder went away while it was read: the tree was replaced under us."""


def read_all(tree: Path, subdir: str, previous: Mapping[str, FileResult], *, trust_stamps: bool) -> Reading:
    """Read every entry of the folder `subdir` of `tree`.

    `trust_stamps`: the tree is the very folder that `previous` was read from, so a file whose inode has
    not changed need not be opened. Raises Unavailable when there is nothing to read, Vanished (above).
    """
    folder = models_folder(tree, subdir)
    names = _names(folder)
    _refuse_empty(names, subdir)
    reading = _read(tree, folder, subdir, names, previous, trust_stamps)
    if _names(folder) != names:
        raise Vanished
    return reading


def read_named(tree: Path, subdir: str, previous: Mapping[str, FileResult], names: Iterable[str]) -> Reading:
    """Read the files of these names (and those behind links), and take the others from `previous`."""
    folder = models_folder(tree, subdir)
    again = {name for name, result in previous.items() if result.linked}
    again.update(name for name in names if _is_wanted(name))
    there = sorted(name for name in again if os.path.lexists(folder / name))
    reading = _read(tree, folder, subdir, there, {}, False)
    kept = {name: result for name, result in previous.items() if name not in again}
    _refuse_empty((*kept, *there), subdir)
    return Reading(kept | reading.results, reading.fresh)


def models_folder(tree: Path, subdir: str) -> Path:
    """The real folder of the entries. Raises Unavailable when it is missing or lies outside of the tree."""
    try:
        folder = (tree / subdir).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise Unavailable(
            f"The catalog has no folder {subdir or '.'}.",
            "Entries are files named models/<id>.json; another folder's name is a setting.",
        ) from error
    if not folder.is_relative_to(tree.resolve()):
        raise Unavailable(f"The catalog's folder {subdir} is a link that leads out of the catalog.")
    if not folder.is_dir():
        raise Unavailable(f"The catalog's {subdir} is not a folder.")
    return folder


def place(tree: Path, file: str, path: scan.Path) -> tuple[int, int]:
    """Line and column of a field in a file that parsed well; the file's begin when it cannot be told any more."""
    try:
        text = (tree / file).read_bytes()[:MAX_SIZE].decode()
        return scan.line_column(text, scan.places(text).value(path))
    except (OSError, ValueError, IndexError):
        return 1, 1


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if _is_wanted(entry.name))
    except OSError as error:
        raise Vanished from error


def _refuse_empty(names: Iterable[str], subdir: str) -> None:
    if not any(map(_is_entry, names)):
        raise Unavailable(
            f"The catalog's folder {subdir or '.'} holds no .json file.",
            "An empty folder is taken for an accident. Add an entry, or point the service at another catalog.",
        )


def _is_wanted(name: str) -> bool:
    """Entries, and what was probably meant to be one. Names with a leading dot are editors' business."""
    return name.lower().endswith(_NEAR_MISSES) and not name.startswith(".") and "/" not in name


def _is_entry(name: str) -> bool:
    return name.endswith(".json")


def _read(
    tree: Path,
    folder: Path,
    subdir: str,
    names: Iterable[str],
    previous: Mapping[str, FileResult],
    trust_stamps: bool,
) -> Reading:
    reading = Reading({}, {})
    prefix = "" if subdir in ("", ".") else subdir.strip("/") + "/"
    root = tree.resolve()
    for name in names:
        file = prefix + os.fsencode(name).decode("utf-8", "backslashreplace")
        if not _is_entry(name):
            hint = "rename it" if name.lower().endswith(".json") else "write the entry as JSON"
            reading.results[name] = _refused(
                file, "is not read: a catalog file's name ends in .json", hint, "warning"
            )
            continue
        try:
            result, data = _read_file(root, folder / name, file, previous.get(name), trust_stamps)
        except _Refused as refused:
            result, data = _refused(file, *refused.args), None
        reading.results[name] = result
        if data is not None:
            reading.fresh[name] = data
    return reading


class _Refused(Exception):
    """A file that is not read; its arguments are a sentence and a hint."""


def _refused(file: str, message: str, hint: str = "", severity: Severity = "error") -> FileResult:
    problem = Problem(file, 1, 1, "", message, hint, severity)
    return FileResult(file, None, "", "", (problem,), linked=True)  # `linked`: look again, whatever Git says


def _read_file(
    root: Path, path: Path, file: str, previous: FileResult | None, trust_stamps: bool
) -> tuple[FileResult, bytes | None]:
    """What a file holds, and its bytes if they had to be parsed."""
    descriptor, linked = _open(root, path)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise _Refused("is a folder, not a file", "entries lie directly in the models folder")
        if not stat.S_ISREG(status.st_mode):
            raise _Refused("is no regular file")
        stamp = _stamp(status)
        if trust_stamps and previous and stamp and previous.stamp == stamp:
            return previous, None
        data = _bytes(descriptor, status.st_size)
    except OSError as error:
        raise _Refused(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    digest = sha256(data).hexdigest()
    if previous and previous.digest == digest:
        if previous.stamp != stamp or previous.linked != linked:
            previous = msgspec.structs.replace(previous, stamp=stamp, linked=linked)
        return previous, None
    entry, problems = parse(data, file)
    return FileResult(file, entry, hash_of(entry) if entry else "", digest, problems, linked, stamp), data


def _open(root: Path, path: Path) -> tuple[int, bool]:
    """Open a file of the tree for reading; also through a symlink, if it stays inside of the tree."""
    try:
        return os.open(path, _FLAGS), False
    except FileNotFoundError as error:
        raise Vanished from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise _Refused(f"cannot be read: {error.strerror}", "check its owner and permissions") from error
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise _Refused("is a link that leads nowhere") from error
    inside = real.relative_to(root).parts if real.is_relative_to(root) else (".git",)
    if ".git" in inside:
        raise _Refused(
            "is a link that leads out of the catalog and is not followed", "put the file itself there"
        )
    try:
        return os.open(real, _FLAGS), True
    except OSError as error:
        raise _Refused(f"is a link to what cannot be read: {error.strerror}") from error


def _bytes(descriptor: int, size: int) -> bytes:
    """The file's bytes, at most one more than may be (the parser then says so)."""
    wanted = min(size, MAX_SIZE) + 1
    data = os.read(descriptor, wanted)
    while len(data) < wanted and (more := os.read(descriptor, wanted - len(data))):
        data += more
    return data


def _stamp(status: os.stat_result) -> Stamp | None:
    """As Git does it: a file that changed within the clock's grain of now may change again unseen."""
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _RACY_NS:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def hash_of(entry: Entry) -> str:
    """SHA-256 of what an entry says, whatever its file's layout, order and unknown fields."""
    return sha256(msgspec.json.encode(entry, order="deterministic")).hexdigest()
