"""What this service's account must be allowed on a cluster, and whether it is: asked of the API server itself."""

import asyncio
import shlex

from msgspec import Struct

from model_manager.errors import ModelManagerError
from model_manager.serving.findings import Finding, Status
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import (
    ALL_PODS,
    CLAIMS,
    CLUSTER_RUNTIMES,
    CONFIG_MAPS,
    EVENTS,
    INFERENCE_SERVICES,
    LEASES,
    NODES,
    PODS,
    RUNTIMES,
    SECRETS,
    Kind,
    mapping,
)


class Right(Struct, frozen=True):
    """`without` says what is lost; `vital` that nothing can be served."""

    kind: Kind
    verbs: tuple[str, ...]
    without: str
    subresource: str = ""
    vital: bool = False

    @property
    def resource(self) -> str:
        """As `kubectl create role --resource=` takes it."""
        return f"{self.kind.qualified}/{self.subresource}" if self.subresource else self.kind.qualified

    @property
    def name(self) -> str:
        return f"right:{self.resource}" + (" (everywhere)" if self.kind is ALL_PODS else "")


RIGHTS = (
    Right(
        INFERENCE_SERVICES, ("get", "list", "watch", "create", "patch", "delete"), "nothing can be served",
        vital=True,
    ),
    Right(PODS, ("list", "watch"), "nothing can be served", vital=True),
    Right(LEASES, ("get", "create", "patch"), "nobody can tell which of two services decides", vital=True),
    Right(EVENTS, ("list", "watch"), "the causes of many failures stay unknown"),
    Right(PODS, ("get",), "logs of model servers cannot be shown", "log"),
    Right(RUNTIMES, ("get", "list", "watch"), "a missing runtime is found only after the old model was stopped"),
    Right(CLUSTER_RUNTIMES, ("get", "list", "watch"), "runtimes of the whole cluster are not known"),
    Right(CLAIMS, ("get",), "a missing claim is found only after the old model was stopped"),
    Right(SECRETS, ("get",), "a missing secret is found only after the old model was stopped"),
    Right(CONFIG_MAPS, ("get",), "a missing ConfigMap is found only after the old model was stopped"),
    Right(ALL_PODS, ("list",), "how many GPUs are free is not known"),
    Right(NODES, ("list",), "a model that fits no node is found only after the old one was stopped"),
)  # fmt: skip
"""All that is asked of the API server, but for reviews like those below, which everybody may ask."""

ACCESS_REVIEW = Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)
SUBJECT_REVIEW = Kind("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)


async def review(api: Api) -> list[Finding]:
    """One finding for each right, from SelfSubjectAccessReviews."""
    who = await _who(api)
    return list(await asyncio.gather(*(_reviewed(api, right, who) for right in RIGHTS)))


async def _reviewed(api: Api, right: Right, who: str) -> Finding:
    try:
        allowed = await asyncio.gather(*(_allowed(api, right, verb) for verb in right.verbs))
    except ModelManagerError as error:
        return Finding(right.name, "unknown", error.sentence, error.hint)
    missing = [verb for verb, may in zip(right.verbs, allowed, strict=True) if not may]
    if not missing:
        return Finding(right.name, "ok", f"This service may {', '.join(right.verbs)} {right.resource}.")
    status: Status = "fail" if right.vital else "warn"
    said = f"This service may not {', '.join(missing)} {right.resource}: {right.without}."
    return Finding(right.name, status, said, "Give its account the right.", _grant(right, api.namespace, who))


async def _allowed(api: Api, right: Right, verb: str) -> bool:
    attributes = {
        "group": right.kind.group,
        "version": right.kind.version,
        "resource": right.kind.plural,
        "verb": verb,
    }
    attributes |= {"subresource": right.subresource} if right.subresource else {}
    attributes |= {"namespace": api.namespace} if right.kind.namespaced else {}
    answer = await api.review(ACCESS_REVIEW, "SelfSubjectAccessReview", {"resourceAttributes": attributes})
    return answer.get("allowed") is True


async def _who(api: Api) -> str:
    """Our own name; "" before Kubernetes 1.28, which cannot be asked."""
    try:
        answer = await api.review(SUBJECT_REVIEW, "SelfSubjectReview", {})
    except ModelManagerError:
        return ""
    return str(mapping(answer.get("userInfo")).get("username") or "")


def _grant(right: Right, namespace: str, who: str) -> str:
    """The command that an administrator of the cluster gives the right with."""
    name = "model-manager-" + right.resource.split(".")[0].replace("/", "-")
    scope, within = ("role", f" -n {namespace}") if right.kind.namespaced else ("clusterrole", "")
    account = who.removeprefix("system:serviceaccount:")
    subject = (
        f"--serviceaccount={shlex.quote(account)}"
        if account != who
        else f"--user={shlex.quote(who or 'NAME')}"
    )
    role = f"kubectl{within} create {scope} {name} --verb={','.join(right.verbs)} --resource={right.resource}"
    return f"{role} && kubectl{within} create {scope}binding {name} --{scope}={name} {subject}"
