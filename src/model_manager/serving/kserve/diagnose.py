"""Why a model does not start on a cluster, from its pod, the events about it and the InferenceService. Pure.

The causes are rows of `causes.py`. Pods are read first: an InferenceService stays `InProgress` through a crash loop,
and is `Ready` at each restart of a server killed for memory. What ends a container by itself is not here: its log
tells more (`serving/diagnose.py`).
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from model_manager.serving.diagnose import NOT_READY
from model_manager.serving.kserve.causes import (
    AT_ONCE,
    CONFIGURATION,
    CONFIGURATION_REASONS,
    EVENTS,
    FETCHING,
    IMAGE,
    IMAGE_OF_INITIALIZER,
    IMAGE_REASONS,
    NEVER,
    REFUSED,
    RUNTIME,
    SCHEDULING,
    SERVICE,
    Cause,
    Row,
)
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

Names = Mapping[str, str]


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
        if found := _image(status, {**names, **IMAGE_OF_INITIALIZER}):
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
    if why.get("reason") in CONFIGURATION_REASONS:
        return _match(CONFIGURATION, _flat(why.get("message")) or str(why["reason"]), names)
    return None


def _image(status: Object, names: Names) -> Cause | None:
    why = waiting(status)
    if why.get("reason") not in IMAGE_REASONS:
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
