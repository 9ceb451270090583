"""An entry's own volumes and mounts for the rendered container. Pure."""

from typing import Any

from model_manager.catalog.entry import Entry
from model_manager.errors import Unprocessable
from model_manager.serving.runtime import MODEL_PATH

KINDS = frozenset({"persistentVolumeClaim", "secret", "configMap", "emptyDir"})
"""None of them reaches into the node, as `hostPath` would."""


def render_mounts(entry: Entry, notes: list[str]) -> list[dict[str, Any]]:
    """Without one at the weights' own place: KServe mounts them there, and two mounts at one path refuse the pod."""
    mounts: dict[str, dict[str, Any]] = {}
    for mount in entry.volume_mounts:
        path = str(mount.get("mountPath", "")).rstrip("/")
        if path == MODEL_PATH:
            notes.append(f"The volume mount at {MODEL_PATH} is left out: `storageUri` is mounted there.")
        else:
            mounts[path] = dict(mount)
    return list(mounts.values())


def render_volumes(entry: Entry) -> list[dict[str, Any]]:
    """Those that a remaining mount uses. Raises Unprocessable for a kind that entries may not use."""
    used = {mount["name"] for mount in render_mounts(entry, []) if "name" in mount}
    for volume in entry.volumes:
        foreign = sorted(set(volume) - {"name"} - KINDS)
        if foreign:
            raise Unprocessable(
                f"The volume {volume.get('name')!r} is of a kind that entries may not use: {', '.join(foreign)}.",
                f"Allowed kinds: {', '.join(sorted(KINDS))}.",
            )
    return [dict(volume) for volume in entry.volumes if volume.get("name") in used]
