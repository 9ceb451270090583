"""How many bytes an entry's weights have, as far as that can be told here and now, without asking a network."""

from pathlib import Path

from model_manager.catalog.entry import Entry
from model_manager.errors import ModelManagerError
from model_manager.weights.uri import FileSource, parse_source


def expected_bytes(entry: Entry, tree: Path | None, file_roots: tuple[Path, ...] = ()) -> int | None:
    """Bytes of all its files: by the sizes that the entry names, or by the files of this machine; else None.

    `tree` is the catalog's folder, where relative `file:` sources begin; `file_roots` are allowed ones outside it.
    Reads the disk.
    """
    try:
        source = parse_source(entry)
        if isinstance(source, FileSource):
            from model_manager.weights.sources import plan_for  # brings the Hub's client along

            return plan_for(source, entry.files, tree=tree, file_roots=file_roots).size
    except ModelManagerError:
        return None  # the installation will say what is wrong with it
    if source is None or not source.pins or entry.files:
        return None
    sizes = [pin.size for pin in source.pins]
    return None if None in sizes else sum(size or 0 for size in sizes)
