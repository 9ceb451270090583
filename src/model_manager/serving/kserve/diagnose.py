"""Why a model does not start on a cluster, from its pod, the events about it and the InferenceService. Pure.

A table of rows, each made from what Kubernetes 1.34 and KServe 0.20 were seen to say. Pods are read first: an
InferenceService stays `InProgress` through a crash loop, and is `Ready` at each restart of a server killed for memory.
What ends a container by itself is not here: its log tells more (`serving/diagnose.py`).
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from model_manager.serving.diagnose import NOT_READY, Diagnosis
from model_manager.serving.diagnose import Row as LogRow
from model_manager.serving.kserve.kinds import (
    Object,
    is_leaving,
    items,
    labels,
    mapping,
    metadata,
    model_of,
    name_of,
    one_line,
    sentence_of,
    uid_of,
)
from model_manager.serving.kserve.pods import (
    CONTAINER,
    SERVICE_LABEL,
    condition,
    container_status,
    ended,
    has_ended,
    waiting,
)

AT_ONCE, SOON, PATIENT, NEVER = 0.0, 5.0, 20.0, float("inf")
"""Seconds that something may last until waiting longer is in vain; NEVER: it may still pass by itself."""


Names = Mapping[str, str]


class Cause(Diagnosis, frozen=True):
    patience: float = PATIENT


class Row(LogRow, frozen=True):
    """`pattern` is looked for in what was said; `{0}`, `{1}` are its groups, `{said}` is all of it.

    Sentence and hint may name what it is about: see `_names`.
    """

    patience: float = PATIENT


_GPU = "Stop what holds it (`kubectl describe nodes` lists it), ask for less in the entry's `resources`, or add a node."

SCHEDULING = (
    Row("claim_missing", r'persistentvolumeclaim "([^"]+)" not found',
        "The volume claim {0} does not exist in the namespace {ns}.",
        "Create it, or correct the entry's `storageUri`; `kubectl -n {ns} get pvc` lists those there are.", SOON),
    Row("claim_unbound", r"unbound immediate PersistentVolumeClaims",
        "A volume claim of the pod is not bound to a volume: {claims} in the namespace {ns}.",
        "`kubectl -n {ns} describe pvc {claims}` says why: mostly its storage class has no volume to give."),
    Row("claim_elsewhere", r"volume node affinity conflict|didn't find available persistent volumes",
        "The volume is on another node than those that fit: {said}",
        "Use a volume that those nodes can mount, or correct the entry's `nodeSelector`."),
    Row("gpu_missing", r"Insufficient (\S+/(?:gpu|mig-)[^\s.,]*|gpu\.\S+/[^\s.,]+)",
        "No node has enough free {0}: {said}", _GPU),
    Row("resources_missing", r"Insufficient (\S+?)[.,]*(?:\s|$)",
        "No node has enough free {0}: {said}", _GPU),
    Row("no_node", r"didn't match Pod's node affinity/selector",
        "No node has the labels that the entry asks for: {said}",
        "Correct its `nodeSelector`, or label a node; `kubectl get nodes --show-labels` shows their labels."),
    Row("nodes_unready", r"untolerated taint.*\bnode\.kubernetes\.io/",
        "The nodes that fit are not ready, or under pressure: {said}", "`kubectl describe nodes` says of each why."),
    Row("no_node", r"untolerated taint",
        "The nodes that fit are reserved for others: {said}", "Let the entry's `tolerations` name the taint."),
    Row("unschedulable", r"", "No node can hold the pod: {said}",
        "`kubectl describe nodes` shows what there is; correct the entry's `resources` or `nodeSelector`."),
)  # fmt: skip

IMAGE = (
    Row("image_missing", r"(?i)not found|manifest unknown|does not exist",
        "{whose} image {image} does not exist: {said}", "Correct the image in {image_of}.", SOON),
    Row("image_denied", r"(?i)unauthorized|denied|authentication required|401|403",
        "{whose} image {image} is refused by its registry: {said}",
        "Correct the image in {image_of}, or let `imagePullSecrets` there name a Secret that may pull it.", SOON),
    Row("image_pull", r"", "{whose} image {image} cannot be pulled: {said}",
        "Check the image's name in {image_of}, and the way from the node to its registry."),
)  # fmt: skip
_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
     "ImageInspectError", "SignatureValidationFailed"}
)  # fmt: skip

_IMAGE_OF_INITIALIZER = {
    "whose": "The storage initializer's",
    "image_of": "KServe's settings (`kubectl -n kserve edit configmap inferenceservice-config`, `storageInitializer`)",
}

CONFIGURATION = (
    Row("secret_missing", r'secret "([^"]+)" not found', "The secret {0} does not exist in the namespace {ns}.",
        "Create it (`kubectl -n {ns} create secret generic {0} --from-literal=KEY=VALUE`), or correct the entry.",
        SOON),
    Row("config_map_missing", r'configmap "([^"]+)" not found',
        "The ConfigMap {0} does not exist in the namespace {ns}.",
        "Create it (`kubectl -n {ns} create configmap {0} --from-literal=KEY=VALUE`), or correct the entry.", SOON),
    Row("key_missing", r"couldn't find key (\S+) in (\S+) (?:[^\s/]+/)?(\S+)",
        "The {1} {2} in the namespace {ns} has no key {0}.",
        "Add the key, or correct the entry's `env`; `kubectl -n {ns} describe {1} {2}` lists its keys.", SOON),
    Row("weights_missing", r"(?i)subpath|no such file or directory",
        "The weights' folder cannot be mounted: {said}", "Install the model's weights, or correct `storageUri`.", SOON),
    Row("command_missing", r"executable file not found|no such file",
        "The runtime's command is not in its image: {said}", "Correct `command` or the image in {runtime}.", SOON),
    Row("container", r"", "The container cannot be created: {said}",
        "Correct what it names in {runtime} or the entry."),
)  # fmt: skip
_CONFIGURATION_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName"}
)

FETCHING = (
    # The Hub answers 401, not 404, for what does not exist, to those who have no token.
    Row("source_missing", r"(?i)repository ?not ?found",
        "The source of the weights does not exist, or is hidden from KServe's storage initializer: {said}",
        "Correct the entry's `storageUri`; for a private repository give the initializer a token (`HF_TOKEN`).",
        AT_ONCE),
    Row("not_allowed", r"(?i)401|gated|restricted|unauthorized",
        "The source of the weights refuses them: {said}",
        "Accept the model's licence on the Hub, and give KServe's storage initializer a token (`HF_TOKEN`).", AT_ONCE),
    Row("source_missing", r"(?i)404|not found|does not exist",
        "The source of the weights is not there: {said}", "Correct the entry's `storageUri`.", AT_ONCE),
    Row("disk_full", r"(?i)no space left|ephemeral",
        "The node's disk is too small for the weights: {said}", "Install them to the volume instead.", AT_ONCE),
    Row("fetch_failed", r"", "KServe could not fetch the weights: {said}",
        "Install the model's weights to the volume instead of `hf://`.", AT_ONCE),
)  # fmt: skip

EVENTS = (
    Row("probe_failed", r"Unhealthy: (Startup|Liveness) probe failed",
        "The model server was killed since its {0} probe failed too often.",
        "Large models load long: raise `failureThreshold` of that probe in {runtime}.", AT_ONCE),
    Row("mount_failed", r"(?:FailedMount|FailedAttachVolume|FailedMapVolume): (.*)",
        "A volume cannot be mounted: {0}",
        "See whether a pod on another node still holds it: `kubectl -n {ns} get pods -o wide`."),
    Row("sandbox_failed", r"FailedCreatePodSandBox: (.*)",
        "The node cannot start the pod: {0}", "Look at the node's container runtime and network."),
)  # fmt: skip

REFUSED = (
    Row("quota", r"exceeded quota: ([^,]*)", "The quota {0} does not allow another pod: {said}",
        "Raise it, or ask for less; `kubectl -n {ns} describe resourcequota` shows what is used.", SOON),
    Row("pod_refused", r"", "The cluster refuses the model's pod: {said}",
        "Correct what it names in {runtime} or the entry.", SOON),
)  # fmt: skip

RUNTIME = {
    "RuntimeNotRecognized": Row(
        "runtime_missing", r"",
        "KServe finds {runtime} neither in the namespace {ns} nor for the whole cluster: {said}",
        "Create it, or name another `runtime` in the entry; `kubectl -n {ns} get servingruntimes` and"
        " `kubectl get clusterservingruntimes` list those there are.", SOON),
    "RuntimeDisabled": Row(
        "runtime_disabled", r"", "KServe may not use {runtime}, which is disabled: {said}",
        "Remove `disabled: true` from it, or name another `runtime` in the entry.", SOON),
    "NoSupportingRuntime": Row(
        "runtime_unfit", r"", "The model is of no format that {runtime} supports: {said}",
        "Add the format to its `supportedModelFormats`, or name another `runtime` in the entry.", SOON),
    "InvalidPredictorSpec": Row(
        "invalid_spec", r"", "KServe cannot use the InferenceService {name}: {said}",
        "Correct what it names in {runtime} or the entry.", SOON),
}  # fmt: skip

SERVICE = (
    Row("storage_uri", r"storageUri, must be one of",
        "KServe does not know this kind of `storageUri`: {said}", "Use pvc://, hf://, s3://, gs:// or https://.", SOON),
    Row("no_knative", r"ServerlessModeRejected",
        "The InferenceService {name} asks for Knative, which this cluster does not have.",
        "Delete it (`kubectl -n {ns} delete inferenceservice {name}`) and activate the model again: the mode of an"
        " existing one cannot be changed.", SOON),
    Row("name_too_long", r"InternalError: .*invalid domain name",
        "KServe can make no host name of the slot's and the namespace's names: {said}",
        "Both together may have 52 characters: shorten one of them.", SOON),
    Row("kserve", r"InternalError: (?!.*(?:object has been modified|(?i:runtime)))(.*)", "KServe reports: {0}",
        "Look at its controller's log: `kubectl -n kserve logs deploy/kserve-controller-manager`."),
)  # fmt: skip

ROWS = (*SCHEDULING, *IMAGE, *CONFIGURATION, *FETCHING, *EVENTS, *REFUSED, *SERVICE)


def find(
    service: Object, pods: Sequence[Object], mine: Sequence[Object], events: Sequence[Object]
) -> tuple[Cause, Object] | None:
    """What keeps an InferenceService from serving, and the object that tells it.

    `pods` are all of its pods, `mine` those of the activation that is wanted, `events` the warnings of its namespace.
    """
    found: tuple[Cause, Object] | None = None
    if cause := of_service(service, about(service, events), pods, mine):
        found = cause, service
    runtime = str(model_of(service).get("runtime") or "")
    living = [pod for pod in mine if not is_leaving(pod) and not has_ended(pod)]
    for pod in living or mine:
        if cause := of_pod(pod, about(pod, events), runtime):
            found = cause, pod
    for pod in mine if found else ():
        # It stays Terminating until its node is back, and the pod in its place finds no room.
        if is_leaving(pod) and (cause := _lost(pod, about(pod, events))):
            found = cause, pod
    return found


def about(item: Object, events: Iterable[Object]) -> list[Object]:
    """Events about an object by its UID; about an InferenceService also those of its ReplicaSets."""
    uid, prefix = uid_of(item), f"{name_of(item)}-predictor-"
    is_service = item.get("kind") == "InferenceService"
    found = []
    for event in events:
        of = mapping(event.get("involvedObject"))
        of_set = is_service and of.get("kind") == "ReplicaSet" and str(of.get("name")).startswith(prefix)
        if of.get("uid") == uid or of_set:
            found.append(event)
    return found


def of_pod(pod: Object, events: Sequence[Object] = (), runtime: str = "") -> Cause | None:
    """What keeps this pod from being ready, if the cluster says so. `events` are those about it."""
    names = _names(pod, runtime)
    return (
        _scheduling(pod, names)
        or _ended(pod)
        or _lost(pod, events)
        or _initializing(pod, names)
        or _container(pod, names)
        or _killed(pod)
        or _told(pod, events, names)
        or _unready(pod, events)
    )


def of_service(
    service: Object, events: Iterable[Object], pods: Sequence[Object], mine: Sequence[Object]
) -> Cause | None:
    """Why an InferenceService has no pod as it is wanted. `events`: about it and about its ReplicaSets.

    KServe keeps the Deployment, and the pod, of a specification that it could read before: what it says of its runtime
    holds although an older pod is there. The rest may be about a pod that has left.
    """
    if mine:
        return None
    model = mapping(mapping(service.get("status")).get("modelStatus"))
    failure = mapping(model.get("lastFailureInfo"))
    names = _names(service, str(model_of(service).get("runtime") or ""))
    known = RUNTIME.get(str(failure.get("reason")))
    if known and model.get("transitionStatus") == "InvalidSpec":
        return _match((known,), _flat(failure.get("message")), names)
    if pods:
        return None
    told = list(events)
    for event in told:
        if found := _match(SERVICE, f"{event.get('reason')}: {event.get('message')}", names):
            return found
    for event in told:
        if event.get("reason") == "FailedCreate":
            return _match(REFUSED, _flat(event.get("message")), names)
    return None


def of_lost_runtime(name: str) -> Cause:
    """What runs goes on running; KServe needs the runtime for the next pod."""
    return Cause(
        "runtime_missing", f"The serving runtime {name} does not exist any more.",
        "Create it again: without it the model's next pod cannot be started.", NEVER,
    )  # fmt: skip


def _scheduling(pod: Object, names: Names) -> Cause | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return None
    return _match(SCHEDULING, _flat(scheduled.get("message")), names)


def _ended(pod: Object) -> Cause | None:
    if not has_ended(pod):
        return None
    status = mapping(pod.get("status"))
    why = f"{status.get('reason') or 'it failed'}: {_flat(status.get('message'))}"
    return Cause(
        "evicted",
        f"The node has ended the pod ({why}).",
        "Kubernetes makes another one where it fits; `kubectl describe nodes` shows what a node lacks.",
        NEVER,
    )


def _initializing(pod: Object, names: Names) -> Cause | None:
    """KServe's storage initializer, or any other container that has to end well first."""
    for status in items(mapping(pod.get("status")).get("initContainerStatuses")):
        if found := _image(status, {**names, **_IMAGE_OF_INITIALIZER}):
            return found
        how = ended(status)
        if how.get("reason") == "OOMKilled":
            return Cause(
                "fetch_out_of_memory", "KServe's storage initializer was killed for want of memory.",
                "Raise its limit in KServe's ClusterStorageContainer, or install the weights to the volume.", AT_ONCE,
            )  # fmt: skip
        if how and how.get("exitCode") != 0:
            said = (
                _flat(how.get("message"))[-400:] or f"{status.get('name')} ended with {how.get('exitCode')}."
            )
            return _match(FETCHING, said, names)
    return None


def _container(pod: Object, names: Names) -> Cause | None:
    status = container_status(pod)
    if found := _image(status, names):
        return found
    why = waiting(status)
    if why.get("reason") in _CONFIGURATION_REASONS:
        return _match(CONFIGURATION, _flat(why.get("message")) or str(why["reason"]), names)
    return None


def _image(status: Object, names: Names) -> Cause | None:
    why = waiting(status)
    if why.get("reason") not in _IMAGE_REASONS:
        return None
    image, said = str(status.get("image") or ""), _flat(why.get("message")) or str(why["reason"])
    if image:  # container runtimes nest their errors, and each names the image again
        said = said.rpartition(image)[2].lstrip('": ') or said
    return _match(IMAGE, said, {**names, "image": image})


def _killed(pod: Object) -> Cause | None:
    if ended(container_status(pod)).get("reason") != "OOMKilled":
        return None
    limit = _memory_limit(pod)
    of = f" of {limit}" if limit else ""
    return Cause(
        "out_of_memory", f"The model server was killed since it took more memory than its limit{of}.",
        "Raise the entry's memory limit, lower its context, or choose a smaller model.", AT_ONCE,
    )  # fmt: skip


def _told(pod: Object, events: Iterable[Object], names: Names) -> Cause | None:
    how = ended(container_status(pod))
    restarted, killed = bool(how), how.get("exitCode") in (137, 143)
    status = container_status(pod)
    running = "running" in mapping(status.get("state"))
    creating = not running and waiting(status).get("reason") in (None, "ContainerCreating", "PodInitializing")
    for event in events:
        found = _match(EVENTS, f"{event.get('reason')}: {_flat(event.get('message'))}", names)
        if found and (killed if found.code == "probe_failed" else creating and not restarted):
            return found
    return None


def _lost(pod: Object, events: Iterable[Object]) -> Cause | None:
    """The node controller turns Ready to False and keeps the rest of the condition; its event says why.

    The kubelet never leaves a pod so: where it has readiness gates to wait for, it names them.
    """
    ready = condition(pod, "Ready")
    by_event = any(event.get("reason") == "NodeNotReady" for event in events)
    by_controller = (
        ready.get("status") == "False"
        and condition(pod, "ContainersReady").get("status") == "True"
        and (by_event or not ready.get("reason"))
    )
    named = "NodeNotReady" in (ready.get("reason"), mapping(pod.get("status")).get("reason"))
    if by_controller or named or mapping(pod.get("status")).get("reason") == "NodeLost":
        node = mapping(pod.get("spec")).get("nodeName")
        return Cause(
            "node_lost", f"The node {node} does not answer.",
            f"See `kubectl describe node {node}`: its kubelet, its network, its power.", NEVER,
        )  # fmt: skip
    return None


def _unready(pod: Object, events: Sequence[Object]) -> Cause | None:
    """It runs, never ended, and a probe says no: a model that loads, one that hangs, or one that lost its footing."""
    status = container_status(pod)
    running = "running" in mapping(status.get("state")) and not ended(status)
    if not running or condition(pod, "Ready").get("status") != "False":
        return None
    said = [_flat(event.get("message")) for event in events if event.get("reason") == "Unhealthy"]
    if not said:
        return None
    probe, _, why = said[-1].partition(" probe failed: ")
    slot = f" {labels(pod).get(SERVICE_LABEL) or ''}".rstrip()
    return Cause(
        NOT_READY, f"The model server runs and is not ready: its {probe} probe fails: {why}.",
        f"A large model loads for minutes. If its log stands still, look there: `model-manager logs{slot}`.", NEVER,
    )  # fmt: skip


def _memory_limit(pod: Object) -> str:
    for container in items(mapping(pod.get("spec")).get("containers")):
        if container.get("name") == CONTAINER:
            return str(mapping(mapping(container.get("resources")).get("limits")).get("memory") or "")
    return ""


def _names(item: Object, runtime: str) -> Names:
    """What a pod or an InferenceService lets a sentence name: itself, its namespace, its claims, its runtime."""
    volumes = items(mapping(item.get("spec")).get("volumes"))
    claims = [mapping(one.get("persistentVolumeClaim")).get("claimName") for one in volumes]
    named = f"the serving runtime {runtime}" if runtime else "the serving runtime"
    return {
        "name": name_of(item), "ns": str(metadata(item).get("namespace", "")),
        "claims": shlex.join(str(claim) for claim in claims if claim), "runtime": named,
        "whose": "The runtime's", "image_of": named,
    }  # fmt: skip


def _match(rows: Sequence[Row], said: str, names: Names) -> Cause | None:
    for row in rows:
        if match := re.search(row.pattern, said):
            groups = [group or "" for group in match.groups()]
            sentence = sentence_of(row.sentence.format(*groups, said=said, **names))
            quoted = map(shlex.quote, groups)  # hints hold commands, and what is named comes from a catalog
            return Cause(row.code, sentence, row.hint.format(*quoted, **names), row.patience)
    return None


def _flat(message: object) -> str:
    """On one line and not endless."""
    return one_line(message)[:600]
