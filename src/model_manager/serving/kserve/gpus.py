"""The GPUs of the cluster's nodes, and how many are free: what an unschedulable pod waits for."""

import re
from collections import Counter
from collections.abc import Sequence

from model_manager.errors import ModelManagerError
from model_manager.serving.evidence import Capacity
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.capacity import quantity
from model_manager.serving.kserve.kinds import ALL_PODS, NODES, Object, items, mapping, name_of
from model_manager.serving.kserve.pods import has_ended

_GPU = re.compile(r"\S+/(gpu|mig-\S+)|gpu\.\S+/\S+")
"""As device plugins call them: `nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`, `amd.com/gpu`, `gpu.intel.com/i915`."""

NOT_ENDED = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
"""Pods that may hold something: a cluster of jobs keeps many that have ended."""


async def look(api: Api) -> tuple[tuple[Capacity, ...], tuple[str, ...]]:
    """Each node's GPUs, and sentences about what may not be read: the pods of all namespaces hold them."""
    try:
        nodes, _ = await api.list_all(NODES)
    except ModelManagerError as error:
        return (), (f"Which GPUs the nodes have is not known: {error.sentence}",)
    try:
        pods, _ = await api.list_all(ALL_PODS, NOT_ENDED)
    except ModelManagerError as error:
        return count(nodes, None), (f"How many GPUs are free is not known: {error.sentence}",)
    return count(nodes, pods), ()


def count(nodes: Sequence[Object], pods: Sequence[Object] | None) -> tuple[Capacity, ...]:
    """By node and resource; free is what no pod holds (None: the pods are not known). Pure."""
    held: Counter[tuple[str, str]] = Counter()
    for pod in pods or ():
        spec = mapping(pod.get("spec"))
        if has_ended(pod):
            continue
        for container in items(spec.get("containers")):
            for resource, amount in mapping(mapping(container.get("resources")).get("limits")).items():
                held[str(spec.get("nodeName")), resource] += int(quantity(amount))
    found = []
    for node in sorted(nodes, key=name_of):
        name = name_of(node)
        for resource, amount in mapping(mapping(node.get("status")).get("allocatable")).items():
            if _GPU.fullmatch(resource):
                total = int(quantity(amount))
                free = None if pods is None else max(0, total - held[name, resource])
                found.append(Capacity(name, resource, total, free))
    return tuple(found)
