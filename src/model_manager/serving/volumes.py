"""An entry's own volumes and mounts for the rendered container. Pure."""

from collections.abc import Mapping
from typing import Any

from model_manager.catalog.entry import Entry
from model_manager.errors import Unprocessable
from model_manager.serving.runtime import MODEL_PATH

KINDS = frozenset({"persistentVolumeClaim", "secret", "configMap", "emptyDir"})
"""None of them reaches into the node, as `hostPath` would."""


def render_mounts(entry: Entry, notes: list[str]) -> list[dict[str, Any]]:
    """Without one at the weights' own place: KServe mounts them there, and two mounts at one path refuse the pod.

    Raises Unprocessable for a mount that does not say what is mounted where.
    """
    mounts: dict[str, dict[str, Any]] = {}
    for mount in entry.volume_mounts:
        _require_texts(mount, "A volume mount", "name", "mountPath")
        path = mount["mountPath"].rstrip("/")
        if path == MODEL_PATH:
            notes.append(f"The volume mount at {MODEL_PATH} is left out: `storageUri` is mounted there.")
        else:
            mounts[path] = dict(mount)
    return list(mounts.values())


def render_volumes(entry: Entry) -> list[dict[str, Any]]:
    """Those that a remaining mount uses. Raises Unprocessable for a kind that entries may not use, or no name."""
    used = {mount["name"] for mount in render_mounts(entry, [])}
    for volume in entry.volumes:
        _require_texts(volume, "A volume", "name")
        foreign = sorted(set(volume) - {"name"} - KINDS)
        if foreign:
            raise Unprocessable(
                f"The volume {volume.get('name')!r} is of a kind that entries may not use: {', '.join(foreign)}.",
                f"Allowed kinds: {', '.join(sorted(KINDS))}.",
            )
    return [dict(volume) for volume in entry.volumes if volume["name"] in used]


def _require_texts(item: Mapping[str, Any], what: str, *fields: str) -> None:
    """The catalog takes Kubernetes' objects as they are; what is looked at here has to be there."""
    for field in fields:
        if not isinstance(item.get(field), str) or not item[field]:
            raise Unprocessable(
                f"{what} of the entry has no `{field}`, or one that is not a text.",
                "Write it as Kubernetes does: `volumes` have a `name`, `volumeMounts` a `name` and a `mountPath`.",
            )
