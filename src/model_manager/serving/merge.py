"""Kubernetes' strategic merge, as far as containers and pod specs use it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

MERGE_KEYS = {"env": "name", "volumeMounts": "mountPath", "ports": "containerPort", "volumes": "name"}
"""Lists whose items are merged by a key. Every other list is replaced whole (`command`, `tolerations`, …)."""


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`patch` laid over `base`: maps key by key, keyed lists item by item, everything else replaced."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = merge(base[key], value)
        elif key in MERGE_KEYS and base.get(key):
            merged[key] = _merge_list(base[key], value, MERGE_KEYS[key])
        else:
            merged[key] = value
    return merged


def _merge_list(base: Sequence[Any], patch: Sequence[Any], key: str) -> list[Any]:
    """Items of both, merged by `key`, in the order apimachinery gives them.

    A patch item goes before an item that only the base has, unless the base had them the other way round. The order
    matters for `env`: `$(NAME)` sees only what stands before it.
    """
    place = {item[key]: index for index, item in enumerate(base)}
    patched = {item[key]: item for item in patch}
    left = [item for item in base if item[key] not in patched]
    right = [merge(base[place[name]], item) if name in place else item for name, item in patched.items()]
    result = []
    while left and right:
        after = place.get(right[0][key])
        base_first = after is not None and place[left[0][key]] < after
        result.append(left.pop(0) if base_first else right.pop(0))
    return result + left + right
