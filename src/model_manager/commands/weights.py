"""Weights: installed, deleted, and what uses them."""

import asyncio
from collections.abc import Callable

from model_manager.catalog.entry import Entry
from model_manager.commands.parts import Parts
from model_manager.errors import Conflict, InvalidRequest, NotFound
from model_manager.jobs.job import Job
from model_manager.serving import ledger
from model_manager.state.database import Transaction
from model_manager.weights.job import INSTALL, install_payload
from model_manager.weights.names import check_folder
from model_manager.weights.uri import flattened, folder_of


async def install(
    parts: Parts, *, model_id: str | None = None, hf_model_id: str | None = None, revision: str | None = None,
    target: str | None = None, files: tuple[str, ...] = (), overwrite: bool = False, actor: str,
) -> Job:  # fmt: skip
    """Queue the installation of a catalog entry's weights, or of a Hub repository that no entry names.

    The same installation asked for twice is one job. Raises InvalidRequest for a `target` that is no plain folder.
    """
    if (model_id is None) == (hf_model_id is None):
        raise InvalidRequest("Name either a model of the catalog or a Hub repository.", 'Send {"id": "…"}.')
    if model_id is not None:
        item = parts.catalog.item(model_id)
        entry, hash_, folder = item.entry, item.hash, folder_of(item.entry)
    else:
        assert hf_model_id is not None
        folder, hash_ = check_folder(target or flattened(hf_model_id)), ""
        entry = hub_entry(hf_model_id, revision, files)
    payload = install_payload(entry, hash_, folder, actor, overwrite)
    return await parts.jobs.submit(INSTALL, folder, payload, actor)


def hub_entry(hf_model_id: str, revision: str | None = None, files: tuple[str, ...] = ()) -> Entry:
    """The entry of a Hub repository that the catalog has none for; its id is made of the repository's."""
    name = flattened(hf_model_id)[:63].strip("-.")
    return Entry(id=name, hf_model_id=hf_model_id, hf_revision=revision, files=files)


async def delete_weights(parts: Parts, name: str, actor: str) -> None:
    """Delete installed weights. Raises NotFound, or Conflict naming what uses them or is installing them.

    The folder is renamed away inside the transaction that checks its uses, so no activation can come between.
    """
    found = await asyncio.to_thread(parts.weights.find, name)
    if found is None:
        raise NotFound(f"No weights are installed in {name!r}.", "`model-manager weights` lists them.")

    def write(txn: Transaction) -> Callable[[], None]:
        users = ledger.uses(txn, name).get(name)
        if users:
            raise Conflict(
                f"Weights {name} are used by {', '.join(users)}.", "Deactivate or switch it first."
            )
        job = parts.jobs.unfinished(txn, INSTALL, name)
        if job:
            raise Conflict(
                f"Weights {name} are being installed by job {job}.", f"`model-manager jobs cancel {job}`."
            )
        data = {"name": name, "modelId": found.entry or name, "sizeBytes": found.size}
        parts.events.append(txn, "weight_deleted", name, data, actor)
        return parts.weights.trash(name)

    free = await parts.database.write(write)
    await asyncio.to_thread(free)


async def weights_in_use(parts: Parts) -> dict[str, list[str]]:
    """Installed folders in use, each with its users."""
    return await parts.database.read(lambda c: ledger.uses(c))
