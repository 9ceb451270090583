"""A child's output: lines, bounds, secrets, and the file."""

import asyncio
import os
from pathlib import Path

import pytest

from model_manager.serving.local import log_file, log_pipe
from model_manager.serving.local.log_file import LogFile
from model_manager.serving.local.log_pipe import LogPipe
from model_manager.serving.local.log_ring import MAX_LINE, LineSplitter, LogRing
from tests.waiting import until

KEY = "s3cret-of-this-start"

LINES = [
    ("whole lines", [b"one\ntwo\n"], ["one", "two"]),
    ("a line in pieces", [b"o", b"n", b"e\n"], ["one"]),
    ("no line end", [b"one"], ["one"]),
    ("nothing", [b""], []),
    ("empty lines", [b"\n\n"], ["", ""]),
    ("Windows line ends", [b"one\r\ntwo\r\n"], ["one", "two"]),
    ("a progress bar", [b" 1%\r50%\r99%\n"], ["99%"]),
    ("half a character", [b"caf\xc3", b"\xa9\n"], ["café"]),
    ("not UTF-8", [b"\xff\xfe\n"], ["\ufffd\ufffd"]),
    ("terminal codes", [b"\x1b[31mred\x07\x00\n"], ["\ufffd[31mred\ufffd\ufffd"]),
    ("C1 codes", ["\x9b31m\n".encode()], ["\ufffd31m"]),
    ("a tab", [b"a\tb\n"], ["a\tb"]),
    ("the key", [f"key={KEY}!\n".encode()], ["key=***!"]),
    ("the key in pieces", [b"key=s3cret-of", b"-this-start!\n"], ["key=***!"]),
    ("the key at the end", [f"{KEY}".encode()], ["***"]),
]


@pytest.mark.parametrize(("pieces", "lines"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_p8_output_becomes_lines(pieces: list[bytes], lines: list[str]) -> None:
    splitter = LineSplitter([KEY])
    found = [line for piece in pieces for line in splitter.feed(piece)]
    assert found + splitter.flush() == lines


@pytest.mark.parametrize("size", [1, 7, 1000, 4096, 65536])
def test_p8_the_key_is_scrubbed_wherever_a_line_without_an_end_is_cut(size: int) -> None:
    splitter = LineSplitter([KEY])
    text = b"".join(b"x" * length + KEY.encode() for length in range(0, 600, 7))
    found = [
        line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])
    ] + splitter.flush()
    assert max(map(len, found)) <= MAX_LINE
    assert "".join(found) == text.decode().replace(KEY, "***")


@pytest.mark.parametrize("before", range(MAX_LINE - len(KEY), MAX_LINE + 1))
def test_p8_the_key_is_scrubbed_when_it_comes_in_pieces_across_the_cut(before: int) -> None:
    splitter = LineSplitter([KEY])
    pieces = [b"x" * before, *(KEY[at : at + 1].encode() for at in range(len(KEY)))]
    found = [line for piece in pieces for line in splitter.feed(piece)] + splitter.flush()
    assert "".join(found) == "x" * before + "***"


def test_p8_memory_is_bounded_without_line_ends() -> None:
    splitter = LineSplitter([KEY])
    for _ in range(100):
        splitter.feed(b"x" * 65536)
    assert len("".join(splitter.flush())) <= MAX_LINE + len(KEY)


def test_the_ring_keeps_the_last_lines() -> None:
    ring = LogRing(size=3)
    assert ring.tail(5) == ()
    ring.extend(str(number) for number in range(10))
    assert ring.tail(5) == ("7", "8", "9")
    assert ring.tail(2) == ("8", "9")
    assert ring.tail(0) == ()


async def test_p8_what_is_beyond_the_rate_is_dropped_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pipe, "BURST_BYTES", 1000)
    monkeypatch.setattr(log_pipe, "RATE_BYTES", 1)
    lines: list[str] = []
    pipe = LogPipe(lines.extend)
    os.write(pipe.writer, b"a" * 899 + b"\n")
    await until(lambda: lines)
    os.write(pipe.writer, b"half a line, and " + b"b" * 2000)
    await asyncio.sleep(0)
    pipe.close()
    assert [line[:3] for line in lines] == ["aaa", "(20"]
    assert lines[1] == "(2017 bytes of output dropped: more than 1 a second)"


async def test_p2_the_pipe_closes_though_somebody_holds_the_other_end() -> None:
    lines: list[str] = []
    pipe = LogPipe(lines.extend)
    held = os.dup(pipe.writer)
    os.write(held, b"first\nlast words")
    pipe.close()
    pipe.close()
    assert lines == ["first", "last words"]
    with pytest.raises(BrokenPipeError):
        os.write(held, b"nobody reads")
    os.close(held)


async def test_the_file_is_rotated_and_private(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "logs" / "slot.log", rotate_bytes=100)
    for number in range(3):
        file.write([f"line {number} " + "x" * 95])
        await file.aclose()
    file.write(["short"])
    await file.aclose()
    assert file.path.read_text() == "short\n"
    assert (tmp_path / "logs/slot.log.1").read_text().startswith("line 2")
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["slot.log", "slot.log.1"]
    assert file.path.stat().st_mode & 0o777 == 0o600


async def test_k6_a_slow_disk_costs_lines_and_not_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "PENDING_BYTES", 100)
    file = LogFile(tmp_path / "slot.log")
    file.write(["kept"])
    file.write(["x" * 60, "y" * 60, "z" * 10])
    await file.aclose()
    written = file.path.read_text()
    assert "kept\n" in written
    assert "y" * 60 not in written
    assert "(1 lines were not written: the disk is too slow)" in written


async def test_k2_a_disk_that_cannot_be_written_disturbs_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    file = LogFile(tmp_path / "logs" / "slot.log")
    file.write(["lost"])
    await file.aclose()
    assert "cannot write" in caplog.text
