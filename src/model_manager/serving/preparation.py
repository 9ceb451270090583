"""What an activation needs before anything is stopped: its weights on the disk, and room in memory."""

import asyncio
from pathlib import Path

from model_manager.catalog.entry import Entry
from model_manager.errors import ModelManagerError
from model_manager.serving.admission import estimate_gguf
from model_manager.serving.engine_args import requests_at_once
from model_manager.serving.ledger import Row
from model_manager.weights.gguf import read_gguf
from model_manager.weights.installed import InstalledWeights
from model_manager.weights.store import WeightStore


def satisfies(installed: InstalledWeights, entry: Entry) -> bool:
    """Whether installed weights are what an entry now asks for, as far as the entry pins it down.

    A changed hash in `source` or a changed commit in `hfRevision` means another installation; a branch name does not,
    since only the Hub could say where it points now.
    """
    have = {file.path: file.sha256 for file in installed.files}
    pinned = {file.path: file.sha256 for file in entry.source.files if file.sha256} if entry.source else {}
    if any(have.get(path) != sha256 for path, sha256 in pinned.items()):
        return False
    revision = entry.hf_revision or ""
    is_commit = len(revision) == 40 and set(revision) <= set("0123456789abcdef")
    return not is_commit or installed.revision == revision


class Preparation:
    """Asks the weight store; file reads happen in threads, since the volume may be slow.

    `in_this_memory`: models run on this machine, whose memory they have to fit.
    """

    def __init__(self, store: WeightStore, *, in_this_memory: bool = True) -> None:
        self._store = store
        self._in_this_memory = in_this_memory

    async def weights_ready(self, row: Row) -> bool:
        """Whether the folder this activation names holds complete, published weights that its entry asks for."""
        if row.weights is None:
            return True
        installed = await asyncio.to_thread(self._store.find, row.weights)
        return installed is not None and satisfies(installed, row.entry)

    async def memory_needed(self, row: Row) -> int | None:
        """Bytes the model will take on this machine; None where that cannot be told from its files."""
        if row.weights is None or not self._in_this_memory:
            return None
        return await asyncio.to_thread(self._estimate, self._store.path(row.weights), row)

    def _estimate(self, folder: Path, row: Row) -> int | None:
        files = sorted(folder.glob("*.gguf"))
        if not files:
            return None
        try:
            header = read_gguf(files[0])
        except ModelManagerError:
            return None  # the engine will say what is wrong with the file, in the log that is shown
        total = sum(file.stat().st_size for file in files)
        return estimate_gguf(header, row.entry.context_length, total, requests_at_once(row.entry))
