"""What serves on the platform and is in no row of ours, because the state file was lost: taken over by its labels."""

from model_manager.catalog.entry import Entry
from model_manager.catalog.snapshot import CatalogItem
from model_manager.serving.ledger import Draft
from model_manager.serving.manifest import HASH_ANNOTATION, MODEL_LABEL, REVISION_ANNOTATION
from model_manager.serving.platform import Manifest
from model_manager.serving.runtime import WEIGHTS_ANNOTATION


def said_model(applied: Manifest) -> str | None:
    """The id of the model that an object says it serves: our label, or the original's annotation."""
    metadata = applied["metadata"]
    said = (metadata.get("labels") or {}).get(MODEL_LABEL) or (metadata.get("annotations") or {}).get(
        MODEL_LABEL
    )
    return str(said) if said else None


def model_of(applied: Manifest) -> str:
    return said_model(applied) or str(applied["metadata"]["name"])


def draft_of(applied: Manifest, activation: str, item: CatalogItem | None) -> Draft:
    """An activation for an object that an earlier life of this service applied.

    `item` is the catalog's entry of the same model, None where it has none (any more): then as much of an entry is
    made up as the object tells.
    """
    metadata = applied["metadata"]
    notes, model_id = metadata.get("annotations") or {}, model_of(applied)
    entry = item.entry if item is not None else _entry(applied, model_id)
    return Draft(
        id=activation, slot=metadata["name"], model_id=model_id, entry=entry,
        entry_hash=str(notes.get(HASH_ANNOTATION, "")), revision=str(notes.get(REVISION_ANNOTATION, "")),
        manifest=applied, weights=notes.get(WEIGHTS_ANNOTATION), actor="system",
    )  # fmt: skip


def _entry(applied: Manifest, model_id: str) -> Entry:
    model = applied["spec"]["predictor"].get("model") or {}
    return Entry(id=model_id, runtime=model.get("runtime"), storage_uri=model.get("storageUri"))
