"""The zip of a support bundle is bounded, and says what it left out."""

import io
import zipfile

import pytest

from model_manager.web.archive import Member, cut, pack

LINES = "".join(f"line {number}\n" for number in range(100))


def unpacked(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_what_fits_is_packed_as_it_is() -> None:
    members = [Member("a.txt", LINES), Member("logs/b.log", "ünï\ud800code", "tail")]
    assert unpacked(pack(members)) == {"a.txt": LINES, "logs/b.log": "ünï?code"}


def test_a_long_list_keeps_its_head_and_a_long_log_its_tail() -> None:
    head = cut(Member("a", LINES, "head"), 100).decode().splitlines()
    tail = cut(Member("a", LINES, "tail"), 100).decode().splitlines()
    assert head[:2] == ["line 0", "line 1"]
    assert tail[-2:] == ["line 98", "line 99"]
    assert head[-1] == tail[0] == f"[cut: this file had {len(LINES)} bytes]"
    assert all(line.startswith("line ") for line in [*head[:-1], *tail[1:]])


@pytest.mark.parametrize("keep", ["head", "tail"])
@pytest.mark.parametrize("text", [LINES, "x" * 500, "\n" * 500, "ü" * 300 + "\n"])
def test_no_file_is_longer_than_its_limit(text: str, keep: str) -> None:
    assert len(cut(Member("a", text, "head" if keep == "head" else "tail"), 100)) <= 100


def test_what_is_beyond_the_total_is_named() -> None:
    members = [Member(name, LINES) for name in ("a", "b", "c")] + [Member("small", "x")]
    found = unpacked(pack(members, total_limit=2 * len(LINES) + 10))
    assert sorted(found) == ["a", "b", "left-out.txt", "small"]
    assert found["left-out.txt"] == "c\n"
