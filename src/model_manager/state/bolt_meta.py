"""The meta pages of a BoltDB file: whether it is one, and where to begin to read it. `bolt.py` has the format.

Meta pages are written in turn, one for each transaction. The valid one of the greater transaction counts: a commit
that was cut off leaves one without its checksum, and the file as it was before.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from model_manager.errors import StateError

HEADER: Final = Struct("<QHHI")
"""Of every page: its number, its kind, how many elements follow, how many more pages its content runs over."""

DAMAGE_HINT = (
    "The file was not changed. Take an older copy of it, if there is one; `bbolt check FILE` tells more."
)

# magic, version, page size, flags, root, the root's sequence, free list, pages, transaction
_META: Final = Struct("<IIIIQQQQQ")
_END = HEADER.size + _META.size
_CHECKSUM_BYTES = 8

_MAGIC, _VERSION = 0xED0CDAED, 2
_SWAPPED_MAGIC = int.from_bytes(_MAGIC.to_bytes(4, "little"), "big")

_PAGE_SIZES = tuple(1024 << power for power in range(15))
"""Those that bbolt tries for the second meta page when the first does not tell."""


LARGEST = 2**28
"""Bytes of a file that is read: all of it into memory, where small records take ten times the room. The original's had
some megabytes.
"""


class Meta(NamedTuple):
    """`root` is the number of the page where to begin, `pages` how many pages are in use."""

    page_size: int
    root: int
    pages: int
    transaction: int


class _Fault(ValueError):
    """Why some bytes are no meta page; the one of higher `rank` is told."""

    def __init__(self, rank: int, sentence: str, hint: str = DAMAGE_HINT) -> None:
        super().__init__(sentence)
        self.rank, self.sentence, self.hint = rank, sentence, hint


def is_bolt(path: Path) -> bool:
    """Whether a meta page says that BoltDB wrote the file; False for what cannot be read."""
    try:
        with path.open("rb") as file:
            return any(_magic(raw) == _MAGIC for raw in _read(file.fileno(), (0, *_PAGE_SIZES)))
    except OSError:
        return False


def newest_meta(path: Path, descriptor: int) -> Meta:
    """The meta page that counts. Raises StateError for a file that is not BoltDB's, damaged, too large or cut off."""
    size = os.fstat(descriptor).st_size
    meta = _newest(path, descriptor)
    if size > LARGEST:
        raise StateError(
            f"{path} has {size} bytes, and at most {LARGEST} are read.",
            "The original's file had some megabytes; `bbolt compact` leaves out what is free in one.",
        )
    if size < meta.pages * meta.page_size:
        whole = meta.pages * meta.page_size
        raise StateError(f"{path} is damaged: it is cut off after {size} of {whole} bytes.", DAMAGE_HINT)
    return meta


def _newest(path: Path, descriptor: int) -> Meta:
    faults: list[_Fault] = []
    metas = list(_sound(descriptor, (0,), faults))
    # A value in the file may hold what looks like a meta page: only the one place where it must be is looked at.
    metas += _sound(descriptor, (metas[0].page_size,) if metas else _PAGE_SIZES, faults)
    if not metas:
        fault = max(faults, key=lambda fault: fault.rank)
        raise StateError(f"{path} {fault.sentence}.", fault.hint)
    return max(metas, key=lambda meta: meta.transaction)


def _sound(descriptor: int, places: Iterable[int], faults: list[_Fault]) -> Iterator[Meta]:
    """The meta pages at these places; what is wrong with the others is added to `faults`."""
    for raw in _read(descriptor, places):
        try:
            yield _parse(raw)
        except _Fault as fault:
            faults.append(fault)


def _read(descriptor: int, places: Iterable[int]) -> Iterator[bytes]:
    return (os.pread(descriptor, _END + _CHECKSUM_BYTES, place) for place in places)


def _parse(raw: bytes) -> Meta:
    if len(raw) < _END + _CHECKSUM_BYTES or _magic(raw) not in (_MAGIC, _SWAPPED_MAGIC):
        raise _not_bolt(raw)
    _, version, page_size, _, root, _, _, pages, transaction = _META.unpack_from(raw, HEADER.size)
    if _magic(raw) == _SWAPPED_MAGIC:
        raise _Fault(
            1, "was written on a machine of the other byte order",
            "Files of little-endian machines (x86-64, arm64, riscv64) can be read.",
        )  # fmt: skip
    if version != _VERSION:
        raise _Fault(
            1, f"has version {version} of the BoltDB format, and only version {_VERSION} can be read",
            "Every version of the original wrote that one: is this its file?",
        )  # fmt: skip
    if int.from_bytes(raw[_END:], "little") != _fnv1a(raw[HEADER.size : _END]):
        raise _Fault(2, "is damaged: the checksums of both its meta pages are wrong")
    if page_size not in _PAGE_SIZES:
        raise _Fault(2, f"is damaged: it says that its pages have {page_size} bytes")
    return Meta(page_size, root, pages, transaction)


def _not_bolt(raw: bytes) -> _Fault:
    kind = "is not a BoltDB file"
    if not raw:
        kind = "is empty"
    elif raw.startswith(b"SQLite format 3\0"):
        kind = "is an SQLite file, not a BoltDB file"
    return _Fault(
        0,
        kind,
        "What can be imported is the file that the original, up to 0.4.4, kept as STATE_PATH/state.db.",
    )


def _magic(raw: bytes) -> int:
    return int.from_bytes(raw[HEADER.size : HEADER.size + 4], "little")


def _fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, http://www.isthe.com/chongo/tech/comp/fnv/."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
