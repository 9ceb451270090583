"""Whether a node could ever hold a container, were it empty. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from model_manager.serving.kserve.kinds import Object, items, labels, mapping, name_of
from model_manager.serving.runtime import Container

_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|[KMGTPE]i?|e[+-]?[0-9]+)?")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3} | {
    f"{letter}{binary}": float((1024 if binary else 1000) ** power)
    for power, letter in enumerate("KMGTPE", 1)
    for binary in ("", "i")
}


def why_none_fits(container: Container, nodes: Sequence[Object]) -> str:
    """A sentence if no node could take it, "" if one could. Names what most nodes lack last."""
    reasons = [_why_not(container, node) for node in nodes]
    if not all(reasons):
        return ""
    return reasons[0] if len(set(reasons)) == 1 else " ".join(dict.fromkeys(reasons[:5]))


def _why_not(container: Container, node: Object) -> str:
    name, pod = name_of(node), container.pod
    for key, value in mapping(pod.get("nodeSelector")).items():
        if labels(node).get(key) != value:
            return f"{name} is not labelled {key}={value}."
    for taint in items(mapping(node.get("spec")).get("taints")):
        hard = taint.get("effect") in ("NoSchedule", "NoExecute")
        passing = str(taint.get("key", "")).startswith(
            "node.kubernetes.io/"
        )  # not ready now, under pressure now
        if hard and not passing and not any(_tolerates(one, taint) for one in items(pod.get("tolerations"))):
            return f"{name} is reserved for others (taint {taint.get('key')})."
    there = mapping(mapping(node.get("status")).get("allocatable"))
    for resource, wanted in _wanted(container).items():
        has = quantity(there.get(resource, 0))
        if has < quantity(wanted):
            return f"it asks for {wanted} {resource}, and {name} has {there.get(resource, 0)}."
    return ""


def _wanted(container: Container) -> dict[str, Any]:
    """Requests; what is only limited is requested so too, as Kubernetes does it."""
    return {**mapping(container.resources.get("limits")), **mapping(container.resources.get("requests"))}


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return toleration.get("key") == taint.get("key") and toleration.get("value", "") == taint.get("value", "")


def quantity(text: Any) -> float:
    """A Kubernetes quantity as a number; what is none counts as nothing."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if not match:
        return 0.0
    unit = match[2] or ""
    return float(match[1]) * (float(f"1{unit}") if unit[:1] == "e" else _UNITS[unit])
