"""The GGUF header: read where it is sound, refused where it lies, and never believed."""

import struct
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.errors import ModelManagerError, NotFound, Unprocessable
from model_manager.weights.gguf import GGUF, read_gguf

DEMO = Path(__file__).parents[2] / "examples" / "catalog" / "weights" / "demo" / "demo.gguf"
U32, U64, I32, F32, BOOL, STRING, ARRAY = 4, 10, 5, 6, 7, 8, 9


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def pair(key: str, kind: int, value: Any) -> bytes:
    head = text(key.encode()) + struct.pack("<I", kind)
    if kind == STRING:
        return head + text(value)
    if kind == ARRAY:
        return head + value
    return head + struct.pack({U32: "<I", U64: "<Q", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def array(kind: int, count: int, data: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + data


def tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


PAIRS = [
    pair("general.architecture", STRING, b"llama"),
    pair("general.name", STRING, b"Tiny"),
    pair("llama.context_length", U32, 4096),
    pair("llama.block_count", U32, 2),
    pair("llama.embedding_length", U64, 64),
    pair("llama.attention.head_count", U32, 8),
    pair("tokenizer.ggml.tokens", ARRAY, array(STRING, 3, text(b"a") + text(b"b") + text(b"c"))),
    pair("tokenizer.chat_template", STRING, b"{{ messages }}"),
]


def header(
    pairs: list[bytes],
    tensors: Sequence[bytes] = (),
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    many = counts or (len(tensors), len(pairs))
    return b"GGUF" + struct.pack("<IQQ", version, *many) + b"".join(pairs) + b"".join(tensors)


def padded(data: bytes, payload: int) -> bytes:
    return data + b"\0" * (-len(data) % 32 + payload)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def make(data: bytes) -> Path:
        path = tmp_path / "m.gguf"
        path.write_bytes(data)
        return path

    return make


def test_a_sound_header(file: Any) -> None:
    data = padded(header(PAIRS, [tensor(b"a", (32, 2), 0, 0), tensor(b"b", (32,), 8, 256)]), 256 + 34)
    assert read_gguf(file(data)) == GGUF(
        architecture="llama", name="Tiny", context_length=4096, block_count=2, embedding_length=64, head_count=8,
        head_count_kv=8, key_length=8, value_length=8, chat_template=True, file_size=len(data),
    )  # fmt: skip


def test_the_demo_model() -> None:
    model = read_gguf(DEMO)
    assert (model.architecture, model.block_count, model.head_count, model.key_length) == ("llama", 3, 4, 24)
    assert model.chat_template and model.file_size == DEMO.stat().st_size


def test_numbers_by_layer_count_by_their_largest(file: Any) -> None:
    kv = pair("llama.attention.head_count_kv", ARRAY, array(I32, 3, struct.pack("<3i", 2, 4, 1)))
    explicit = [pair("llama.attention.key_length", U32, 128), pair("llama.attention.value_length", U32, 96)]
    model = read_gguf(file(header([*PAIRS, kv, *explicit])))
    assert (model.head_count_kv, model.key_length, model.value_length) == (4, 128, 96)


NESTED = array(ARRAY, 1, b"") * 5 + b"\0" * 99

LIES = [
    ("middle of a value", b""),
    ("letters GGUF", b"GGML" + b"\0" * 40),
    ("version is 1", header(PAIRS, version=1)),
    ("version is 99", header(PAIRS, version=99)),
    ("big endian", header(PAIRS, version=3 << 24)),
    ("middle of a value", header(PAIRS, counts=(0, 1 << 63))),
    ("middle of a value", header(PAIRS, counts=((1 << 64) - 1, 8))),
    ("middle of a value", header(PAIRS, counts=(0, len(PAIRS) + 1))),
    ("middle of a value", header([struct.pack("<Q", (1 << 64) - 1) + b"key"])),
    ("middle of a value", header([text(b"k") + struct.pack("<IQ", STRING, 1 << 62)])),
    ("middle of a value", header([pair("k", ARRAY, array(U32, 1 << 61, b""))])),
    ("middle of a value", header([pair("k", ARRAY, array(STRING, 1 << 61, b""))])),
    ("middle of a value", header([pair("k", ARRAY, array(STRING, 1, struct.pack("<Q", 1 << 63)))])),
    ("unknown type 77", header([text(b"k") + struct.pack("<I", 77) + b"\0" * 16])),
    ("unknown type 9", header([pair("k", ARRAY, NESTED)])),
    ("twice", header([*PAIRS, PAIRS[0]])),
    ("alignment", header([*PAIRS, pair("general.alignment", U32, 7)])),
    ("alignment", header([*PAIRS, pair("general.alignment", U32, 0)])),
    ("9 dimensions", padded(header(PAIRS, [tensor(b"a", (1,) * 9, 0, 0)]), 64)),
    ("beyond the end", padded(header(PAIRS, [tensor(b"a", (1 << 40,), 0, 0)]), 64)),
    ("beyond the end", padded(header(PAIRS, [tensor(b"a", (1 << 63, 1 << 63), 0, 0)]), 64)),
    ("beyond the end", padded(header(PAIRS, [tensor(b"a", (8,), 0, 1 << 62)]), 64)),
    ("overlaps", padded(header(PAIRS, [tensor(b"a", (32,), 0, 0), tensor(b"b", (8,), 0, 32)]), 256)),
    ("not aligned", padded(header(PAIRS, [tensor(b"a", (8,), 0, 4)]), 256)),
    ("whole number of blocks", padded(header(PAIRS, [tensor(b"a", (33,), 8, 0)]), 256)),
    ("which architecture", header(PAIRS[1:])),
    ("which architecture", header([pair("general.architecture", U32, 1)])),
]  # fmt: skip


@pytest.mark.parametrize(("words", "data"), LIES, ids=[f"{n}-{words}" for n, (words, _) in enumerate(LIES)])
def test_y5_lies_are_refused_without_allocating_from_them(file: Any, words: str, data: bytes) -> None:
    path = file(data)
    tracemalloc.start()
    try:
        with pytest.raises(Unprocessable, match=words):
            read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


SOUND = padded(header(PAIRS, [tensor(b"a", (32, 2), 0, 0), tensor(b"b", (32,), 8, 256)]), 256 + 34)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=2000, max_examples=300)
@given(
    cut=st.integers(0, len(SOUND)),
    writes=st.lists(st.tuples(st.integers(0, len(SOUND) - 8), st.integers(0, (1 << 64) - 1)), max_size=4),
)
def test_y5_no_damage_ends_in_anything_but_a_model_or_a_sentence(
    file: Any, cut: int, writes: list[tuple[int, int]]
) -> None:
    data = bytearray(SOUND)
    for position, value in writes:
        data[position : position + 8] = value.to_bytes(8, "little")
    try:
        assert read_gguf(file(bytes(data[:cut]))).file_size == cut
    except ModelManagerError as error:
        assert error.sentence.endswith(".") and error.sentence.isprintable()


def test_a_large_vocabulary_is_passed_over_quickly(file: Any) -> None:
    tokens = pair("tokenizer.ggml.tokens", ARRAY, array(STRING, 200_000, text(b"token") * 200_000))
    scores = pair("tokenizer.ggml.scores", ARRAY, array(F32, 200_000, b"\0" * 800_000))
    path = file(header([*PAIRS[:-2], tokens, scores]))
    start = time.monotonic()
    assert read_gguf(path).context_length == 4096
    assert time.monotonic() - start < 5.0


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"model file x\.gguf cannot be read: No such file"):
        read_gguf(tmp_path / "x.gguf")
