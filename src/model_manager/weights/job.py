"""The install job as it is stored: its kind and its payload. The worker that does it is `install.py`."""

from typing import Any

import msgspec

from model_manager.catalog.entry import Entry

INSTALL = "weight_install"
"""The kind of an install's job; its key is the folder that the weights go to."""


def install_payload(
    entry: Entry, entry_hash: str, folder: str, actor: str, overwrite: bool = False
) -> dict[str, Any]:
    """What an install job stores: no secret and no path of this machine; those are added when it starts.

    `entry_hash` is empty when no catalog entry stands behind the request.
    """
    return {
        "modelId": entry.id, "actor": actor, "entry": msgspec.to_builtins(entry), "entryHash": entry_hash,
        "folder": folder, "overwrite": overwrite, "hfModelId": entry.hf_model_id, "revision": entry.hf_revision,
    }  # fmt: skip
