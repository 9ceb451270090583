"""The GGUF file to load: found in a folder, and the one fact of its header that a default depends on."""

import re
import struct
from pathlib import Path
from typing import BinaryIO

from model_manager.errors import Unprocessable

_SHARD = re.compile(r"-(\d{5})-of-\d{5}\.gguf$", re.IGNORECASE)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def find_gguf(model: Path) -> Path:
    """The file to load: `model` itself, or the only model in that folder (of a split one its first shard).

    Unprocessable when there is none or more than one. Projectors (`mmproj…`) are not models.
    """
    if model.is_file():
        return model
    if not model.is_dir():
        raise Unprocessable(f"{model} does not exist.", "Install the model's weights first.")
    found = sorted(path for path in model.rglob("*.gguf") if _is_model(path))
    if not found:
        raise Unprocessable(f"There is no GGUF file in {model}.", "llama.cpp serves GGUF files only.")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(model)) for path in found[:5])
        raise Unprocessable(
            f"{model} holds {len(found)} models: {names}.", 'Choose one with `"files"` in the catalog entry.'
        )
    return found[0]


def _is_model(path: Path) -> bool:
    shard = _SHARD.search(path.name)
    return not path.name.lower().startswith("mmproj") and (shard is None or int(shard[1]) == 1)


def context_length(path: Path) -> int | None:
    """Tokens the model was trained for; None when the header does not say. Unprocessable: not a GGUF file."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise Unprocessable(f"{path.name} is not a GGUF file.", "Install the model again.")
        try:
            _version, _tensors, pairs = struct.unpack("<IQQ", file.read(20))
            for _ in range(min(pairs, 10_000)):
                key = _text(file)
                value = _value(file, *struct.unpack("<I", file.read(4)))
                if key.endswith(b".context_length") and isinstance(value, int):
                    return value
        except (struct.error, KeyError, ValueError, OverflowError):
            pass  # llama.cpp reads the header next and says exactly what is wrong with it
    return None


def _text(file: BinaryIO) -> bytes:
    (length,) = struct.unpack("<Q", file.read(8))
    return file.read(min(length, 1 << 20))


def _value(file: BinaryIO, kind: int) -> int | float | None:
    """A scalar's value; strings and arrays are skipped (the vocabulary is one)."""
    if kind == _STRING:
        _text(file)
        return None
    if kind == _ARRAY:
        item, count = struct.unpack("<IQ", file.read(12))
        if item == _STRING:
            for _ in range(count):  # the file's end is an error below, whatever number stands here
                _text(file)
        else:  # arrays of arrays are not used, and no table has them
            file.seek(struct.calcsize("<" + _SCALARS[item]) * count, 1)
        return None
    code = "<" + _SCALARS[kind]
    return struct.unpack(code, file.read(struct.calcsize(code)))[0]  # type: ignore[no-any-return]
