"""The byte mover: a plan becomes verified, synced files in a staging folder.

`transfer` is the seam to what moves bytes. This mover is plain: one file after the other, from
its first byte. Each file is hashed while it is written, synced, and compared with what its source promised;
one that differs is thrown away and fetched again.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_manager.errors import Unavailable
from model_manager.weights.disk import create, disk_error
from model_manager.weights.fetch import Again, Fetcher, mismatch
from model_manager.weights.installed import InstalledFile
from model_manager.weights.names import shown
from model_manager.weights.pace import Meter, Pace
from model_manager.weights.plan import Control, Plan, PlannedFile

ATTEMPTS = 3
"""How often one file is tried before the install fails."""

BACKOFF = 0.5
"""Seconds before the second attempt, doubled before each further one, unless the server says how long."""


def transfer(
    plan: Plan, staging: Path, control: Control, report: Callable[[dict[str, Any]], None]
) -> list[InstalledFile]:
    """Put every file of the plan into `staging`, an existing folder that holds none of them.

    Returns when all are verified and their bytes are on the disk; the caller syncs the folders. `report` gets
    `bytes_done`, `bytes_total`, `rate` (bytes/s), `eta` (s or None) and `file` at most twice a second;
    `bytes_done` never falls. Honours `control.limit` (bytes/s), `control.paused` and `control.check()`
    between chunks. Raises the ModelManagerError that ended it, or what `control.check()` raises; `staging` is
    then the caller's to remove.
    """
    meter = Meter(plan.size, report)
    pace = Pace(control)
    with Fetcher(plan.access) as fetcher:
        return [_move(file, staging, fetcher, pace, meter) for file in plan.files]


def _move(file: PlannedFile, staging: Path, fetcher: Fetcher, pace: Pace, meter: Meter) -> InstalledFile:
    """One file, tried up to ATTEMPTS times."""
    target = staging / file.path
    before = meter.done
    attempts = ATTEMPTS if file.url else 1
    for attempt in range(1, attempts + 1):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _removed_on_error(target):
                return _write(file, target, fetcher, pace, meter)
        except Again as again:
            meter.rewind(before)
            if attempt == attempts:
                raise again.final from again
            pace.log(f"{again.final.sentence} Trying again ({attempt + 1} of {attempts}).")
            pace.wait(BACKOFF * 2 ** (attempt - 1) if again.wait is None else again.wait)
        except OSError as error:
            raise disk_error(error, shown(file.path)) from error
    raise AssertionError("the last attempt returns or raises")


def _write(file: PlannedFile, target: Path, fetcher: Fetcher, pace: Pace, meter: Meter) -> InstalledFile:
    """One attempt at one file: bytes, hash, sync, comparison."""
    sha256 = hashlib.sha256()
    # a Git blob is hashed with its length in front, so the planned length is part of the check
    blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False) if file.git_sha1 else None
    source = fetcher.chunks(file, pace.chunk) if file.url else read_local(file, pace.chunk)
    written = 0
    with os.fdopen(create(target), "wb", buffering=0) as out:
        for chunk in source:
            written += len(chunk)
            if written > file.size:
                raise Again(mismatch(file.path, "size", str(file.size), f"at least {written}"))
            sha256.update(chunk)
            if blob:
                blob.update(chunk)
            _write_all(out.fileno(), chunk)
            meter.add(len(chunk), file.path)
            pace.spend(len(chunk))
        if written < file.size:
            raise Again(_cut_short(file, written))
        _sync(out.fileno(), file)
    for what, want, got in (
        ("sha256", file.sha256, sha256.hexdigest()),
        ("git blob sha1", file.git_sha1, blob and blob.hexdigest()),
    ):
        if want and want != got:
            raise Again(mismatch(file.path, what, want, str(got)))
    return InstalledFile(path=file.path, size=written, sha256=sha256.hexdigest())


@contextmanager
def _removed_on_error(target: Path) -> Iterator[None]:
    """A file that is not verified does not stay: its bytes are wanted by the next attempt."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def read_local(file: PlannedFile, size: int) -> Iterator[bytes]:
    """The bytes of a file of this machine, at most `size` at once; never through a symlink at its end."""
    assert file.local is not None
    try:
        descriptor = os.open(file.local, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        cause = os.strerror(error.errno or 0)
        raise Unavailable(f"The source file {shown(file.path)} could not be opened: {cause}.") from error
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        while chunk := source.read(size):
            yield chunk


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(descriptor: int, file: PlannedFile) -> None:
    """fsync. After EIO the kernel has dropped the pages: the file is lost, and asking again would lie."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno == errno.EIO:
            raise Again(disk_error(error, shown(file.path))) from error
        raise


def _cut_short(file: PlannedFile, written: int) -> Unavailable:
    return Unavailable(
        f"{shown(file.path)} ended after {written} of {file.size} bytes.",
        "Retry.",
        file=file.path,
        retryable=True,
    )
