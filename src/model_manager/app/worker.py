"""What an install's worker is told when it starts, beside what its job says."""

from collections.abc import Awaitable, Callable
from typing import Any

from model_manager.catalog.catalog import Catalog
from model_manager.errors import Unavailable
from model_manager.settings import Settings
from model_manager.weights.store import WeightStore


def install_message(
    settings: Settings, store: WeightStore, catalog: Catalog
) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    async def prepare(payload: dict[str, Any]) -> dict[str, Any]:
        """What the worker is told beside the stored payload: places and secrets of this machine, never stored."""
        return {
            **payload,
            "root": str(store.root),
            "reserve": settings.disk_reserve,
            "tree": await _tree(catalog, payload),
            "fileRoots": [str(folder) for folder in settings.file_sources],
            "hubEndpoint": settings.hub_endpoint,
            "timeout": settings.weights_install_timeout,
            "secrets": {"hubToken": settings.hub_token},
        }

    return prepare


async def _tree(catalog: Catalog, payload: dict[str, Any]) -> str | None:
    """The catalog's folder for a source inside it. Right after a start, the catalog may have to be read first."""
    uri = (payload["entry"].get("source") or {}).get("uri", "")
    if not uri.startswith("file:"):
        return None
    try:
        return str(catalog.tree())
    except Unavailable:
        await catalog.refresh()
        return str(catalog.tree())
