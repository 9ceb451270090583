"""What is installed in a cluster: KServe's kinds and Knative's feature flags."""

import shlex

import msgspec

from model_manager.errors import ModelManagerError, NotFound
from model_manager.serving.findings import Finding, Status, of_error
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import (
    CLUSTER_RUNTIMES,
    CONFIG_MAPS,
    INFERENCE_SERVICES,
    RUNTIMES,
    Kind,
    mapping,
)

_INSTALL = (
    "kubectl apply --server-side -f https://github.com/kserve/kserve/releases/download/v0.20.0/kserve.yaml"
)

KNATIVE, FEATURES = "knative-serving", "config-features"
FLAGS = (
    "kubernetes.podspec-persistent-volume-claim",
    "kubernetes.podspec-persistent-volume-write",
    "kubernetes.podspec-securitycontext",
)
"""Without these three a Knative Service may not have the volumes that this service keeps its state and weights on."""


async def kinds(api: Api) -> list[Finding]:
    """One finding for each kind of KServe's that is used here, with its version."""
    return [await _kind(api, kind) for kind in (INFERENCE_SERVICES, RUNTIMES, CLUSTER_RUNTIMES)]


async def _kind(api: Api, kind: Kind) -> Finding:
    name = f"crd:{kind.qualified}"
    try:
        there = kind.plural in await api.served(kind.group, kind.version)
    except ModelManagerError as error:
        return of_error(name, error)
    if there:
        return Finding(name, "ok", f"The cluster has {kind.qualified} in version {kind.version}.")
    status: Status = "warn" if kind is CLUSTER_RUNTIMES else "fail"
    said = f"The cluster does not have {kind.qualified} in version {kind.version}."
    return Finding(
        name,
        status,
        said,
        "Install KServe and its CRDs (cert-manager first, which makes the certificates of its webhooks).",
        _INSTALL,
    )


async def knative(api: Api) -> Finding:
    """Whether this service may run as a Knative Service; without Knative there is nothing to ask."""
    try:
        if "services" not in await api.served("serving.knative.dev", "v1"):
            return Finding("knative", "ok", "Knative is not installed; nothing here needs it.")
        flags = mapping((await api.get(CONFIG_MAPS, FEATURES, KNATIVE)).get("data"))
    except NotFound:
        flags = {}
    except ModelManagerError as error:
        return of_error("knative", error)
    off = [flag for flag in FLAGS if str(flags.get(flag, "")).lower() not in ("enabled", "allowed")]
    if not off:
        return Finding("knative", "ok", "Knative allows Services with volumes that are written to.")
    patch = msgspec.json.encode({"data": dict.fromkeys(off, "enabled")}).decode()
    return Finding(
        "knative", "warn", f"Knative's feature flags {', '.join(off)} are not enabled.",
        "Enable them if this service is to run as a Knative Service; a Deployment needs none of them.",
        f"kubectl -n {KNATIVE} patch configmap {FEATURES} --type merge -p {shlex.quote(patch)}",
    )  # fmt: skip
