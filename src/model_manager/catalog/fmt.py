"""One way to write a catalog file, so that a diff shows what changed and nothing else. `catalog fmt`.

Two spaces, one value a line, `$schema` first, then the fields in the order of the format, then unknown ones as
they stood. No value changes: what a file means before and after is the same.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from model_manager.catalog.entry import Entry
from model_manager.catalog.parse import MAX_SIZE, load
from model_manager.catalog.problem import Problem, Report
from model_manager.errors import NotFound

_ORDER = {
    name: place
    for place, name in enumerate(("$schema", *(f.encode_name for f in msgspec.structs.fields(Entry))))
}


def formatted(data: bytes, file: str) -> tuple[bytes | None, tuple[Problem, ...]]:
    """The file's bytes as they should be, or None and why they are no JSON object. Pure."""
    report = Report(file)
    raw = load(data, report)
    if raw is None:
        return None, tuple(report.problems)
    return (json.dumps(_sorted(raw), indent=2, ensure_ascii=False) + "\n").encode(), ()


def _sorted(raw: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(raw.items(), key=lambda field: _ORDER.get(field[0], len(_ORDER))))


def files_of(path: Path, models_subdir: str = "models") -> list[Path]:
    """The catalog files below `path`: a catalog's root, a folder of entries, or one file. Raises NotFound."""
    if path.is_file():
        return [path]
    folder = path / models_subdir if (path / models_subdir).is_dir() else path
    found = sorted(folder.glob("**/*.json"))
    if not found:
        raise NotFound(f"There is no .json file in {folder}.", "Give the folder of a catalog, or its files.")
    return found


def read(path: Path) -> bytes:
    """A file's bytes, at most one more than a catalog file may have."""
    with path.open("rb") as file:
        return file.read(MAX_SIZE + 1)


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the rights it had."""
    target = path.resolve()  # a link stays a link
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).chmod(target.stat().st_mode & 0o7777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
