"""BoltDB files that the real bbolt wrote (`tests/state/bolt`), read without it; and damaged ones, told."""

import fcntl
import hashlib
import json
import os
import random
import struct
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_manager.errors import NotFound, StateError
from model_manager.state import bolt
from model_manager.state.bolt import Bucket, read_bolt
from model_manager.state.bolt_meta import LARGEST, Meta, is_bolt, newest_meta

RECORDED = Path(__file__).with_name("bolt") / "recorded"
FILES = sorted(RECORDED.glob("*.db"))


def as_json(bucket: Bucket) -> dict[str, Any]:
    """What the Go program writes of a bucket."""

    def text(data: bytes) -> str:
        return b64encode(data).decode()

    return {
        text(key): as_json(value) if isinstance(value, dict) else text(value) for key, value in bucket.items()
    }


def fingerprint(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), found.st_mtime_ns, found.st_mode


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_bbolt_reads_is_what_we_read_and_the_file_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "state.db"
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o444)
    before = fingerprint(copy)
    assert as_json(read_bolt(copy)) == json.loads(path.with_suffix(".json").read_text())["buckets"]
    assert fingerprint(copy) == before
    assert list(tmp_path.iterdir()) == [copy]


def test_the_file_is_opened_for_reading_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: dict[str, int] = {}
    real = os.open

    def noted(path: Any, flags: int, *more: Any, **named: Any) -> int:
        opened[str(path)] = flags & os.O_ACCMODE
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", noted)
    read_bolt(RECORDED / "original.db")
    assert opened == {str(RECORDED / "original.db"): os.O_RDONLY}


def test_the_recorded_files_have_every_kind_of_page() -> None:
    shape = json.loads((RECORDED / "grown.json").read_text())["shape"]
    assert shape["branches"] > 4  # so there are branches below branches
    assert min(shape["overflow"], shape["inline"], shape["free"]) > 0
    assert len(FILES) == 4


def test_keys_come_in_their_order() -> None:
    jobs = read_bolt(RECORDED / "grown.db")[b"jobs"]
    assert list(jobs) == sorted(jobs)


def test_the_older_meta_page_counts_when_the_newer_one_is_torn(tmp_path: Path) -> None:
    """A commit ends with its meta page: torn, the file is what it was before, as bbolt takes it."""
    for torn in (0, 1):
        path = damaged(tmp_path, lambda data, torn=torn: write(data, torn * 4096 + 40, b"\xff\xff"))
        assert {b"jobs", b"history"} == read_bolt(path).keys()
        assert is_bolt(path)


# ---- damage --------------------------------------------------------------------------------------------------


def write(data: bytearray, place: int, what: bytes) -> None:
    data[place : place + len(what)] = what


def sealed(data: bytearray, **fields: int) -> None:
    """Both meta pages changed, their checksums right again."""
    places = {"version": (4, "<I"), "page_size": (8, "<I"), "root": (16, "<Q"), "pages": (40, "<Q")}
    for meta in (16, 4096 + 16):
        for name, value in fields.items():
            place, shape = places[name]
            write(data, meta + place, struct.pack(shape, value))
        checksum = 0xCBF29CE484222325
        for byte in data[meta : meta + 56]:
            checksum = (checksum ^ byte) * 0x100000001B3 % 2**64
        write(data, meta + 56, struct.pack("<Q", checksum))


def root_of(data: bytearray) -> int:
    """Where the root page of the newest transaction begins."""
    metas = [struct.unpack_from("<QQQQQ", data, place + 32) for place in (0, 4096)]
    return int(max(metas, key=lambda meta: meta[4])[0]) * 4096


def swapped(data: bytearray) -> None:
    for meta in (16, 4096 + 16):
        data[meta : meta + 4] = data[meta : meta + 4][::-1]


def without_magic(data: bytearray) -> None:
    for meta in (16, 4096 + 16):
        write(data, meta, bytes(4))


def first_bucket(data: bytearray) -> int:
    """Where the first leaf element of the root says what it holds; the value of a bucket is where its tree begins."""
    element = root_of(data) + 16
    _, position, key, _ = struct.unpack_from("<IIII", data, element)
    return element + position + key


def overlapping(data: bytearray) -> None:
    """The second element of the root has the first one's place: few bytes, told as often as there are elements."""
    first = root_of(data) + 16
    position = struct.unpack_from("<I", data, first + 4)[0]
    write(data, first + 16 + 4, struct.pack("<I", position - 16))


def run_over(data: bytearray) -> None:
    """Of the root and the pages that it leads to, the lowest runs over to the next one."""
    root = root_of(data)
    starts = [root // 4096]
    for element in (root + 16, root + 32):
        _, position, key, _ = struct.unpack_from("<IIII", data, element)
        starts.append(struct.unpack_from("<Q", data, element + position + key)[0])
    lowest, following, _ = sorted(starts)
    write(data, lowest * 4096 + 12, struct.pack("<I", following - lowest))


DAMAGES: dict[str, tuple[Callable[[bytearray], object], str]] = {
    "empty": (lambda data: data.clear(), "is empty"),
    "a few bytes": (lambda data: data.__delitem__(slice(30, None)), "is not a BoltDB file"),
    "text": (lambda data: write(data, 0, b"hello\n" * 10_000), "is not a BoltDB file"),
    "SQLite": (lambda data: write(data, 0, b"SQLite format 3\0" + bytes(8192)), "is an SQLite file"),
    "bad magic": (without_magic, "is not a BoltDB file"),
    "both checksums": (
        lambda data: (write(data, 40, b"\xff"), write(data, 4096 + 40, b"\xff")),
        "checksums of both its meta pages are wrong",
    ),
    "version": (lambda data: sealed(data, version=3), "has version 3 of the BoltDB format"),
    "byte order": (swapped, "machine of the other byte order"),
    "page size": (lambda data: sealed(data, page_size=4097), "says that its pages have 4097 bytes"),
    "cut off": (lambda data: data.__delitem__(slice(9000, None)), "is cut off after 9000 of"),
    "too many pages": (lambda data: sealed(data, pages=2**60), "is cut off after"),
    "root out of range": (lambda data: sealed(data, root=10_000), "leads to page 10000, and has pages 2 to"),
    "root is a meta page": (lambda data: sealed(data, root=0), "leads to page 0"),
    "bucket out of range": (
        lambda data: write(data, first_bucket(data), struct.pack("<Q", 2**63)),
        f"leads to page {2**63}",
    ),
    "cycle": (
        lambda data: write(data, first_bucket(data), struct.pack("<Q", root_of(data) // 4096)),
        "twice",
    ),
    "zeros": (
        lambda data: write(data, root_of(data), bytes(4096)),
        "is neither a branch nor a leaf",
    ),
    "too many elements": (
        lambda data: write(data, root_of(data) + 10, b"\xff\xff"),
        "has no room for the 65535 elements",
    ),
    "element beyond its page": (
        lambda data: write(data, root_of(data) + 16 + 12, struct.pack("<I", 2**31)),
        "reaches beyond it",
    ),
    "elements that overlap": (overlapping, "overlap"),
    "pages that overlap": (run_over, "twice"),
    "overflow beyond the file": (
        lambda data: write(data, root_of(data) + 12, struct.pack("<I", 2**31)),
        "runs beyond the file's",
    ),
    "bucket too short": (
        lambda data: write(data, root_of(data) + 16 + 12, struct.pack("<I", 3)),
        "is too short",
    ),
    "bucket without a page": (
        lambda data: write(data, first_bucket(data), bytes(16)),
        "is no leaf page",
    ),
}


def damaged(folder: Path, damage: Callable[[bytearray], object]) -> Path:
    data = bytearray((RECORDED / "original.db").read_bytes())
    damage(data)
    path = folder / "state.db"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("damage", "told"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_a_sentence(
    tmp_path: Path, damage: Callable[[bytearray], object], told: str
) -> None:
    path = damaged(tmp_path, damage)
    before = fingerprint(path)
    with pytest.raises(StateError) as refusal:
        read_bolt(path)
    assert refusal.value.sentence.startswith(f"{path} ")
    assert told in refusal.value.sentence
    assert refusal.value.hint
    assert fingerprint(path) == before


def test_any_damage_is_a_sentence_or_does_no_harm(tmp_path: Path) -> None:
    """Bytes changed and files cut at random: never another error, never without end."""
    rng = random.Random(6)
    whole = [(RECORDED / f"{name}.db").read_bytes() for name in ("original", "grown", "unsynced")]
    path = tmp_path / "state.db"
    ends = {"read": 0, "told": 0}
    for _ in range(150):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 40)):
            data[rng.randrange(len(data)) & ~rng.choice((0, 0xFF))] = rng.randrange(256)
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            read_bolt(path)
            ends["read"] += 1
        except StateError:
            ends["told"] += 1
    assert min(ends.values()) > 5


def test_a_file_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        read_bolt(tmp_path / "state.db")
    with pytest.raises(StateError, match=r"cannot be read: Is a directory\."):
        read_bolt(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StateError, match="cannot be read: Illegal seek"):
        read_bolt(tmp_path / "pipe")
    assert not is_bolt(tmp_path)
    assert not is_bolt(tmp_path / "state.db")


def test_a_file_that_is_too_large_is_a_sentence(tmp_path: Path) -> None:
    path = damaged(tmp_path, lambda data: None)
    os.truncate(path, LARGEST + 1)
    with pytest.raises(StateError, match=f"has {LARGEST + 1} bytes"):
        read_bolt(path)


def test_a_file_that_is_cut_off_while_it_is_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged(tmp_path, lambda data: None)

    def cut_off_behind(path: Path, descriptor: int) -> Meta:
        meta = newest_meta(path, descriptor)
        os.truncate(path, 8192)
        return meta

    monkeypatch.setattr(bolt, "newest_meta", cut_off_behind)
    with pytest.raises(StateError, match="became shorter while it was read"):
        read_bolt(path)


def test_a_file_that_the_original_has_open_is_a_sentence(tmp_path: Path) -> None:
    path = damaged(tmp_path, lambda data: None)
    held = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)  # as bbolt does for as long as it has a file open
        with pytest.raises(StateError, match="is in use: the service that writes it still runs"):
            read_bolt(path)
    finally:
        os.close(held)
    assert read_bolt(path)
