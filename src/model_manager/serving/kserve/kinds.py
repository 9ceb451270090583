"""The kinds of Kubernetes objects that are read and written here, and where their URLs are."""

from typing import Any

import msgspec
from msgspec import Struct

Object = dict[str, Any]
"""An object of Kubernetes, as JSON. Never a typed model: what a cluster says may be of another version."""

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are something else."""


class Kind(Struct, frozen=True):
    """`group` is "" for the core API; `plural` is how RBAC rules and URLs name it."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{namespace}" if self.namespaced else ""
        return root + where + "".join(f"/{part}" for part in (self.plural, name, subresource) if part)

    @property
    def qualified(self) -> str:
        """As `kubectl` and RBAC write it: `inferenceservices.serving.kserve.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


INFERENCE_SERVICES = Kind("serving.kserve.io", "v1beta1", "inferenceservices")
RUNTIMES = Kind("serving.kserve.io", "v1alpha1", "servingruntimes")
CLUSTER_RUNTIMES = Kind("serving.kserve.io", "v1alpha1", "clusterservingruntimes", namespaced=False)
PODS = Kind("", "v1", "pods")
ALL_PODS = Kind("", "v1", "pods", namespaced=False)
"""Those of every namespace."""

EVENTS = Kind("", "v1", "events")
CLAIMS = Kind("", "v1", "persistentvolumeclaims")
SECRETS = Kind("", "v1", "secrets")
CONFIG_MAPS = Kind("", "v1", "configmaps")
LEASES = Kind("coordination.k8s.io", "v1", "leases")
NODES = Kind("", "v1", "nodes", namespaced=False)


def metadata(item: Object) -> dict[str, Any]:
    return mapping(item.get("metadata"))


def labels(item: Object) -> dict[str, Any]:
    return mapping(metadata(item).get("labels"))


def annotations(item: Object) -> dict[str, Any]:
    return mapping(metadata(item).get("annotations"))


def name_of(item: Object) -> str:
    return str(metadata(item).get("name", ""))


def uid_of(item: Object) -> str:
    return str(metadata(item).get("uid", ""))


def model_of(service: Object) -> dict[str, Any]:
    """`spec.predictor.model` of an InferenceService; others' may have another kind of predictor."""
    return mapping(mapping(mapping(service.get("spec")).get("predictor")).get("model"))


def is_leaving(item: Object) -> bool:
    """Deleted, and still there until its finalizers or its processes are done."""
    return bool(metadata(item).get("deletionTimestamp"))


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one: a status is written by others, in their version."""
    return value if isinstance(value, dict) else {}


def one_line(text: object) -> str:
    return " ".join(str(text or "").split())


def sentence_of(text: object) -> str:
    """On one line, ended like a sentence."""
    flat = one_line(text)
    return flat if flat.endswith(".") else f"{flat}."


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, if it is one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
