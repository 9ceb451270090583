"""The header of a GGUF file: what admission and the page need to know of a model, read without loading it.

The header is data from outside and may lie: it is read by stream, at most MAX_HEADER bytes of it; no length or
count in it is believed before it fits the bytes that are there, and nothing is allocated from one.
Format: the GGUF specification in the ggml repository (`docs/gguf.md`), versions 2 and 3, little endian.
"""

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from model_manager.errors import NotFound, Unprocessable

MAX_HEADER = 100 << 20
"""Bytes; the largest real ones (vocabularies of 260,000 tokens with merges) stay below 20 MB."""

MAX_DIMENSIONS = 4
_MAX_NESTING = 4
_MAX_KEPT = 1 << 16
"""Longest string kept, in bytes, and longest array of numbers, in items; longer ones are passed over."""

_STRING, _ARRAY = 8, 9
_SCALARS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_NUMBERS = {code: struct.Struct("<" + letter) for code, letter in _SCALARS.items()}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

# ggml type -> (values in a block, bytes of a block), from ggml's table of types
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class GGUF(Struct, frozen=True, kw_only=True):
    """A model's measures. `file_size` in bytes; `context_length` in tokens, 0 where the file does not say.

    `head_count_kv`, `key_length` and `value_length` are what attention uses, also where the file leaves them to
    their defaults; where they differ by layer, the largest.
    """

    architecture: str
    name: str
    context_length: int
    block_count: int
    embedding_length: int
    head_count: int
    head_count_kv: int
    key_length: int
    value_length: int
    chat_template: bool
    file_size: int


def read_gguf(path: Path) -> GGUF:
    """Read and check the header of one file. Raises NotFound, or Unprocessable saying what is wrong with it."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            values = _read(_Header(file, size, path.name), size)
    except OSError as error:
        cause = os.strerror(error.errno or 0)
        raise NotFound(f"The model file {path.name} cannot be read: {cause}.") from error
    return _measures(values, size, path.name)


class _Header:
    """The bytes of a header, taken in order and never beyond the file or MAX_HEADER."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file = file
        self._end = min(size, MAX_HEADER)
        self._name = name
        self.position = 0

    def fault(self, what: str) -> Unprocessable:
        return Unprocessable(
            f"{self._name} is not a sound GGUF file: {what}.",
            "Install the weights again, or ask who made them.",
        )

    def room(self, count: int) -> None:
        """Refuse a length that the rest of the header cannot hold."""
        if count > self._end - self.position:
            raise self.fault(f"its header ends at byte {self._end}, in the middle of a value")

    def take(self, count: int) -> bytes:
        self.room(count)
        data = self._file.read(count)
        if len(data) != count:
            raise self.fault("it was cut short while it was read")
        self.position += count
        return data

    def skip(self, count: int) -> None:
        self.room(count)
        self._file.seek(count, os.SEEK_CUR)
        self.position += count

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def text(self) -> str:
        """A string; of a very long one its beginning."""
        length = self.u64()
        self.room(length)
        data = self.take(min(length, _MAX_KEPT))
        self.skip(length - len(data))
        return data.decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """One value of a type: numbers, text, or a list of numbers; None for what is passed over."""
        if kind in _NUMBERS:
            number = _NUMBERS[kind]
            return number.unpack(self.take(number.size))[0]
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or depth == _MAX_NESTING:
            raise self.fault(f"it holds a value of the unknown type {kind}")
        return self._array(self.u32(), self.u64(), depth)

    def _array(self, kind: int, count: int, depth: int) -> list[Any] | None:
        if kind in _NUMBERS:
            number = _NUMBERS[kind]
            self.room(count * number.size)
            if count > _MAX_KEPT:
                self.skip(count * number.size)
                return None
            return [item[0] for item in number.iter_unpack(self.take(count * number.size))]
        # every string or array has a length in front, so its bytes bound the count
        self.room(count * 8)
        for _ in range(count):
            if kind == _STRING:
                self.skip(self.u64())
            else:
                self.value(kind, depth + 1)
        return None


def _read(header: _Header, size: int) -> dict[str, Any]:
    """All key-values; the tensors behind them are checked against the file's size."""
    if header.take(4) != b"GGUF":
        raise header.fault("it does not start with the letters GGUF")
    version = header.u32()
    if version not in (2, 3):
        swapped = version.to_bytes(4, "big")[0] in (2, 3)
        raise header.fault("it is big endian" if swapped else f"its version is {version}, not 2 or 3")
    tensors, pairs = header.u64(), header.u64()
    header.room(tensors * 24 + pairs * 13)  # the fewest bytes that one of each can take
    values: dict[str, Any] = {}
    for _ in range(pairs):
        key = header.text()
        if key in values:
            raise header.fault(f"it gives {key[:60]!a} twice")
        values[key] = header.value(header.u32())
    _check_tensors(header, tensors, values.get("general.alignment", 32), size)
    return values


def _check_tensors(header: _Header, count: int, alignment: Any, size: int) -> None:
    """Every tensor must lie in the file, aligned, and on no other one."""
    if not _whole(alignment) or alignment < 8 or alignment % 8 or alignment > 1 << 16:
        raise header.fault("its alignment is not a small multiple of 8")
    spans = []
    for _ in range(count):
        name = header.text()[:60]
        dimensions = header.u32()
        if dimensions > MAX_DIMENSIONS:
            raise header.fault(f"its tensor {name!a} has {dimensions} dimensions")
        shape = [header.u64() for _ in range(dimensions)]
        block, width = _BLOCKS.get(header.u32(), (1, 0))  # an unknown type: only its offset can be checked
        elements = math.prod(shape)
        if shape and shape[0] % block:
            raise header.fault(f"the rows of its tensor {name!a} are no whole number of blocks")
        spans.append((header.u64(), elements // block * width, name))
    start = -(-header.position // alignment) * alignment
    end = 0
    for offset, length, name in sorted(spans):
        if offset % alignment or offset < end:
            raise header.fault(f"its tensor {name!a} overlaps another one or is not aligned")
        if start + offset + length > size:
            raise header.fault(f"its tensor {name!a} lies beyond the end of the file")
        end = offset + length


def _measures(values: dict[str, Any], size: int, name: str) -> GGUF:
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise Unprocessable(f"{name} does not say which architecture its model has.")
    number = _numbers_of(values, architecture)
    embedding = number("embedding_length", 0)
    heads = number("attention.head_count", 0)
    per_head = embedding // heads if heads else 0
    title = values.get("general.name")
    return GGUF(
        architecture=architecture,
        name=title if isinstance(title, str) else "",
        context_length=number("context_length", 0),
        block_count=number("block_count", 0),
        embedding_length=embedding,
        head_count=heads,
        head_count_kv=number("attention.head_count_kv", heads),
        key_length=number("attention.key_length", per_head),
        value_length=number("attention.value_length", per_head),
        chat_template=bool(values.get("tokenizer.chat_template")),
        file_size=size,
    )


def _numbers_of(values: dict[str, Any], architecture: str) -> Callable[[str, int], int]:
    """Look up whole numbers of an architecture: the largest where there is one for each layer."""

    def number(key: str, default: int) -> int:
        value = values.get(f"{architecture}.{key}", default)
        items = value if isinstance(value, list) else [value]
        return max((item for item in items if _whole(item) and item >= 0), default=default)

    return number


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
