"""Which file of a folder is the model, what its header says, and what the machine allows."""

import os
import struct
from pathlib import Path

import pytest

from model_manager.engines import machine
from model_manager.engines.gguf_file import context_length, find_gguf
from model_manager.errors import Unprocessable


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def number(key: str, value: int) -> bytes:
    return string(key) + struct.pack("<II", 4, value)


def header(*pairs: bytes, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs) if count is None else count) + b"".join(pairs)


NAME = string("general.name") + struct.pack("<I", 8) + string("a name")
TOKENS = string("tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("bc")
SCORES = string("scores") + struct.pack("<IIQ", 9, 6, 3) + struct.pack("<3f", 1, 2, 3)
NESTED = string("nested") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 0, 2) + b"ab"
CONTEXT = number("llama.context_length", 2048)

HEADERS = [
    ("said", header(CONTEXT), 2048),
    ("after strings and arrays", header(NAME, TOKENS, SCORES, CONTEXT), 2048),
    ("of any architecture", header(number("qwen3.context_length", 7)), 7),
    ("not said", header(NAME), None),
    ("nothing said", header(), None),
    ("cut off", header(NAME, CONTEXT)[:-3], None),
    ("only the magic", b"GGUF", None),
    ("an unknown type", header(string("x") + struct.pack("<I", 99), CONTEXT), None),
    ("an array of arrays", header(NESTED, CONTEXT), None),
    ("too many pairs", header(count=1 << 63), None),
    ("a string that never ends", header(struct.pack("<Q", 1 << 62) + b"abc"), None),
    ("an array that never ends", header(string("x") + struct.pack("<IIQ", 9, 10, 1 << 62)), None),
    ("strings that never end", header(string("x") + struct.pack("<IIQ", 9, 8, 1 << 62)), None),
]


@pytest.mark.parametrize(("data", "length"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_the_context_length_of_a_header(tmp_path: Path, data: bytes, length: int | None) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    assert context_length(path) == length


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(Unprocessable, match="not a GGUF file"):
        context_length(path)


FOLDERS = [
    (["model.gguf"], "model.gguf"),
    (["model-00001-of-00003.gguf", "model-00002-of-00003.gguf", "model-00003-of-00003.gguf"],
     "model-00001-of-00003.gguf"),
    (["mmproj-model.gguf", "model.gguf", "README.md"], "model.gguf"),
    (["sub/model.gguf"], "sub/model.gguf"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "expected"), FOLDERS)
def test_the_model_of_a_folder(tmp_path: Path, names: list[str], expected: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_gguf(tmp_path) == tmp_path / expected
    assert find_gguf(tmp_path / expected) == tmp_path / expected


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "no GGUF file"),
        (["model.safetensors"], "no GGUF file"),
        (["mmproj.gguf"], "no GGUF file"),
        (["a.gguf", "b.gguf"], "holds 2 models: a.gguf, b.gguf"),
        (["q4-00001-of-00002.gguf", "q8-00001-of-00002.gguf"], "holds 2 models"),
    ],
)
def test_no_model_or_more_than_one(tmp_path: Path, names: list[str], sentence: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(Unprocessable, match=sentence):
        find_gguf(tmp_path)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("100000 100000", 1),
        ("150000 100000", 2),
        ("1000 100000", 1),
        ("max 100000", None),
        ("", None),
        ("nonsense", None),
        ("100000 0", None),
    ],
)
def test_cores_are_those_of_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    (tmp_path / "cpu.max").write_text(quota)
    assert machine.usable_cores(tmp_path) == (cores or 8)


@pytest.mark.parametrize(("limit", "bytes_"), [("1048576", 1 << 20), ("max", None), ("", None)])
def test_memory_is_that_of_the_limit(tmp_path: Path, limit: str, bytes_: int | None) -> None:
    (tmp_path / "memory.max").write_text(limit)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine.usable_memory(tmp_path) == (bytes_ or total)
