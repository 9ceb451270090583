"""What an activation needs before anything is stopped: its weights on the disk, and room in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from model_manager.errors import ModelManagerError
from model_manager.serving.admission import estimate_gguf
from model_manager.serving.ledger import Row
from model_manager.weights.gguf import read_gguf
from model_manager.weights.store import WeightStore


class Preparation:
    """Asks the weight store; file reads happen in threads, since the volume may be slow."""

    def __init__(
        self, store: WeightStore, install_payload: Callable[[Row], Awaitable[dict[str, Any]]]
    ) -> None:
        self._store = store
        self.install_payload = install_payload

    async def weights_ready(self, row: Row) -> bool:
        """Whether the folder this activation names holds a complete, published set of weights."""
        if row.weights is None:
            return True
        return await asyncio.to_thread(self._store.find, row.weights) is not None

    async def memory_needed(self, row: Row) -> int | None:
        """Bytes the model will take on this machine; None where that cannot be told from its files."""
        if row.weights is None:
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
        return estimate_gguf(header, row.entry.context_length, total)
