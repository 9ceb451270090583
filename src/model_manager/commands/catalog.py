"""The catalog: looked at now, and what an entry of it would become."""

from model_manager.catalog.snapshot import CatalogItem, Snapshot
from model_manager.commands.activations import draft_of
from model_manager.commands.parts import Parts
from model_manager.serving.platform import Manifest


async def refresh(parts: Parts, actor: str) -> Snapshot:
    """Look at the catalog's source now."""
    return await parts.catalog.refresh(actor)


def render_manifest(parts: Parts, item: CatalogItem, slot: str | None = None) -> Manifest:
    """The InferenceService that activating this would want. Raises Unprocessable when it cannot be rendered."""
    return draft_of(parts, item, parts.slot_named(slot), "preview").manifest
