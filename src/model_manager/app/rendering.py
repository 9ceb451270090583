"""From an entry of the catalog to the manifest of one activation, as the settings want it."""

import logging
from collections.abc import Mapping

from model_manager.catalog.snapshot import CatalogItem
from model_manager.commands import Render
from model_manager.serving.manifest import RenderContext, render
from model_manager.serving.platform import Manifest
from model_manager.serving.runtime import ServingRuntime
from model_manager.settings import Settings
from model_manager.weights.uri import folder_of

log = logging.getLogger(__name__)


def renderer(settings: Settings, runtimes: Mapping[str, ServingRuntime]) -> Render:
    def draft(item: CatalogItem, slot: str, activation: str) -> tuple[Manifest, str | None]:
        """The manifest of one activation, and the folder of weights that we install for it (None: KServe fetches)."""
        by_kserve = settings.platform == "kserve" and (item.entry.storage_uri or "").startswith("hf://")
        weights = None if by_kserve else folder_of(item.entry)
        context = RenderContext(
            slot=slot, namespace=settings.namespace, activation=activation, revision=item.revision,
            entry_hash=item.hash, weights_folder=weights, pvc_name=settings.weights_pvc_name,
            default_runtime=settings.default_runtime, runtimes=runtimes, hub_token_secret=settings.hub_token_secret,
        )  # fmt: skip
        manifest, notes = render(item.entry, context)
        for note in notes:
            log.info("%s: %s", item.entry.id, note)
        return manifest, weights

    return draft
