"""Whose an InferenceService is, and what others have changed in it. Pure.

Ours is what carries our activation label. A taken-over object carries none, since KServe copies the labels of an
InferenceService to its pods, which would restart them: it is marked among its field managers instead.
"""

import copy
from collections.abc import Iterator
from typing import Any

from model_manager.serving.kserve.kinds import Object, annotations, items, labels, mapping, metadata
from model_manager.serving.platform import ACTIVATION_LABEL, Difference, Manifest

ADOPTER = "model-manager-adopted-"
"""Begins the name of the field manager that marks an object as taken over; the activation's id follows."""

_CONTROLLERS = frozenset({"manager", "kserve-manager", "kserve-controller-manager"})
_KEYS = ("name", "mountPath", "containerPort")
"""What the items of KServe's keyed lists are told apart by."""


def activation_of(service: Object) -> str | None:
    """The activation that this object was applied or taken over for; None: it is not ours."""
    if own := labels(service).get(ACTIVATION_LABEL):
        return str(own)
    return adopted_for(service)


def is_ours(service: Object) -> bool:
    """Also when somebody has taken our label off: what we applied in it is on record among its managed fields."""
    applied = ("model-manager", "Apply")
    entries = items(metadata(service).get("managedFields"))
    return activation_of(service) is not None or any(
        (entry.get("manager"), entry.get("operation")) == applied for entry in entries
    )


def adopted_for(service: Object) -> str | None:
    if labels(service).get(ACTIVATION_LABEL):
        return None
    marks = [name.removeprefix(ADOPTER) for name in _managers(service) if name.startswith(ADOPTER)]
    return marks[-1] if marks else None


def managers(service: Object) -> list[str]:
    """Who wrote this object, but for KServe and ourselves."""
    others = [
        name
        for name in _managers(service)
        if name not in _CONTROLLERS and not name.startswith("model-manager")
    ]
    return sorted(set(others))


def drift(service: Object, applied: Manifest) -> tuple[Difference, ...]:
    """Fields that are not as they were applied, each with who changed it. What KServe fills in is no drift."""
    found = list(_changed(applied.get("spec"), service.get("spec"), ("spec",)))
    for part in ("labels", "annotations"):
        wanted = mapping(mapping(applied.get("metadata")).get(part))
        found += _changed(wanted, mapping(metadata(service).get(part)), ("metadata", part))
    seen = {path for path, _, _ in found}
    by = {path: manager for manager, path in _owned_by_others(service)}
    differences = [Difference(_dotted(path), wanted, live, by.get(path, "")) for path, wanted, live in found]
    for path, manager in by.items():
        if path[0] == "spec" and path not in seen and _at(applied, path) is None:
            live = _at(service, path)
            if live is not None:
                differences.append(Difference(_dotted(path), None, live, manager))
    return tuple(differences)


def as_applied(service: Object) -> Manifest | None:
    """The manifest that made this object of ours; None for one that is not, or was only taken over."""
    own = labels(service)
    if not own.get(ACTIVATION_LABEL):
        return None
    about, spec = metadata(service), copy.deepcopy(mapping(service.get("spec")))
    mapping(mapping(spec.get("predictor")).get("model")).pop(
        "name", None
    )  # KServe's defaulter adds an empty one
    return {
        "apiVersion": service.get("apiVersion"), "kind": service.get("kind"),
        "metadata": {
            "name": about.get("name"), "namespace": about.get("namespace"), "labels": dict(own),
            "annotations": {key: value for key, value in annotations(service).items() if key != "modelFormat"},
        },
        "spec": spec,
    }  # fmt: skip


Path = tuple[str, ...]


def _changed(wanted: Any, live: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(wanted, dict):
        found = mapping(live)
        for key, value in wanted.items():
            yield from _changed(value, found.get(key), (*path, key))
    elif isinstance(wanted, list) and (key := _key(wanted)):
        by_key = {item.get(key): item for item in items(live)}
        for item in wanted:
            yield from _changed(item, by_key.get(item[key]), (*path, f"[{key}={item[key]}]"))
    elif not _alike(wanted, live) and not (
        path[-1] == "serving.kserve.io/deploymentMode" and live == "Standard"
    ):
        yield path, wanted, live


def _alike(wanted: Any, live: Any) -> bool:
    """Quantities and ports may come back as numbers or as texts."""
    if isinstance(wanted, str | int) and isinstance(live, str | int) and not isinstance(wanted, bool):
        return str(wanted) == str(live)
    return bool(wanted == live) or (not wanted and live is None and wanted is not False)


def _key(values: list[Any]) -> str | None:
    if not values or not all(isinstance(item, dict) for item in values):
        return None
    return next((key for key in _KEYS if all(key in item for item in values)), None)


def _managers(service: Object) -> list[str]:
    return [str(entry.get("manager", "")) for entry in items(metadata(service).get("managedFields"))]


def _owned_by_others(service: Object) -> Iterator[tuple[str, Path]]:
    for entry in items(metadata(service).get("managedFields")):
        name = str(entry.get("manager", ""))
        if name in _CONTROLLERS or name.startswith("model-manager") or entry.get("subresource"):
            continue
        for path in _leaves(mapping(entry.get("fieldsV1")), ()):
            yield name, path


def _leaves(fields: Object, path: Path) -> Iterator[Path]:
    """Paths of a FieldsV1: `f:` is a field, `k:` an item by its keys; `.` and `v:` are left out."""
    for key, inner in fields.items():
        if key.startswith("f:"):
            here = (*path, key[2:])
        elif key.startswith("k:{"):
            name, _, value = key[3:-1].partition(":")
            here = (*path, f"[{name.strip(chr(34))}={value.split(',')[0].strip(chr(34))}]")
        else:
            continue
        if mapping(inner) and any(part != "." for part in inner):
            yield from _leaves(inner, here)
        else:
            yield here


def _at(item: Any, path: Path) -> Any:
    for part in path:
        if part.startswith("["):
            key, _, value = part[1:-1].partition("=")
            item = next((one for one in items(item) if str(one.get(key)) == value), None)
        else:
            item = mapping(item).get(part)
        if item is None:
            return None
    return item


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += part if part.startswith("[") else (f".{part}" if text else part)
    return text
