"""Checking a catalog before it is committed: the gate behind `model-manager catalog check`. Blocking."""

from pathlib import Path

from model_manager.catalog.entry import Entry
from model_manager.catalog.files import Vanished, place, read_all
from model_manager.catalog.parse import MAX_SIZE, parse
from model_manager.catalog.problem import Problem
from model_manager.catalog.snapshot import assemble
from model_manager.errors import NotFound, Unavailable


def check(path: Path, models_subdir: str = "models") -> list[Problem]:
    """All problems of a catalog, of a folder of entries, or of a single file, by file and line.

    Also looks whether the files that relative `file:` sources name are there. Raises NotFound or Unavailable
    when there is nothing to check.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist.", "Give the folder of a catalog, or one of its files.")
    if path.is_file():
        with path.open("rb") as file:
            return list(parse(file.read(MAX_SIZE + 1), path.name)[1])
    subdir = models_subdir if (path / models_subdir).is_dir() or not any(path.glob("*.json")) else ""
    try:
        reading = read_all(path, subdir, {}, trust_stamps=False)
    except Vanished as error:
        raise Unavailable(f"{path} changed while it was read.", "Try again.") from error
    snapshot = assemble("check", str(path), reading.results, {}, lambda file, field: place(path, file, field))
    problems = list(snapshot.problems)
    for result in reading.results.values():
        if result.entry and subdir:  # relative sources lie in the catalog, not in the folder of entries
            problems += _missing_weights(path, result.file, result.entry)
    return sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))


def _missing_weights(tree: Path, file: str, entry: Entry) -> list[Problem]:
    source = entry.source
    if not source or not source.uri.startswith("file:") or source.uri.startswith("file:/"):
        return []
    folder = tree / source.uri.removeprefix("file:")
    found = []
    for index, wanted in enumerate(source.files):
        weights = folder / wanted.path
        message = ""
        if not weights.is_file():
            message = f"`{wanted.path}` is not in {source.uri}"
        elif not weights.resolve().is_relative_to(tree.resolve()):
            message = f"`{wanted.path}` is a link that leads out of the catalog"
        elif wanted.size is not None and weights.stat().st_size != wanted.size:
            message = f"`{wanted.path}` has {weights.stat().st_size} bytes, not {wanted.size}"
        if message:
            line, column = place(tree, file, ("source", "files", index))
            hint = "commit the file with the entry, or correct the entry"
            found.append(Problem(file, line, column, f"source.files[{index}]", message, hint))
    return found
