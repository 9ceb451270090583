"""From a slot's pods to the instances of the port. Pure.

Readiness is read from pods alone: an InferenceService stays Ready after an update while its old pod leaves, and a pod
that terminates keeps its Ready condition until it is gone.
"""

from collections.abc import Callable, Iterable

from model_manager.serving.kserve.kinds import (
    Object,
    is_leaving,
    items,
    labels,
    mapping,
    metadata,
    name_of,
    one_line,
)
from model_manager.serving.platform import ACTIVATION_LABEL, ContainerState, Instance

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""KServe puts it on every pod of an InferenceService, with its name."""

CONTAINER = "kserve-container"

MAX_CRASHES = 3
"""Ends of a container after which it counts as given up: Kubernetes goes on for ever, ever more slowly."""

Address = Callable[[Object], str | None]
"""Where a pod's model server is reached; None while it has no address."""


def instances(pods: Iterable[Object], unlabelled: str, address: Address) -> tuple[Instance, ...]:
    """Oldest first. `unlabelled` is the activation of pods that carry none: those of an adopted object.

    Pods that have ended for good (evicted, say) hold nothing any more and are left out.
    """
    alive = [pod for pod in pods if not has_ended(pod)]
    return tuple(_instance(pod, unlabelled, address) for pod in sorted(alive, key=age))


def of_service(pods: Iterable[Object], name: str) -> list[Object]:
    """Those that KServe made for the InferenceService of this name."""
    return [pod for pod in pods if labels(pod).get(SERVICE_LABEL) == name]


def age(pod: Object) -> tuple[str, str]:
    """To sort by: the oldest first."""
    return str(metadata(pod).get("creationTimestamp", "")), name_of(pod)


def has_ended(pod: Object) -> bool:
    return mapping(pod.get("status")).get("phase") in ("Failed", "Succeeded")


def activation_of(pod: Object, unlabelled: str = "") -> str:
    return str(labels(pod).get(ACTIVATION_LABEL) or unlabelled)


def container_status(pod: Object, name: str = CONTAINER) -> Object:
    """The status of one container, empty while there is none."""
    for status in items(mapping(pod.get("status")).get("containerStatuses")):
        if status.get("name") == name:
            return status
    return {}


def condition(item: Object, kind: str) -> Object:
    for one in items(mapping(item.get("status")).get("conditions")):
        if one.get("type") == kind:
            return one
    return {}


def ended(status: Object) -> Object:
    """How the container last ended: now, or before it was started again. Empty if it never did."""
    now = mapping(mapping(status.get("state")).get("terminated"))
    return now or mapping(mapping(status.get("lastState")).get("terminated"))


def waiting(status: Object) -> Object:
    return mapping(mapping(status.get("state")).get("waiting"))


def by_pod_ip(pod: Object) -> str | None:
    """The address of the pod itself, at the first port of its serving container (KServe's own default: 8080)."""
    address = mapping(pod.get("status")).get("podIP")
    if not isinstance(address, str) or not address:
        return None
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port_of(pod)}"


def port_of(pod: Object) -> int:
    for container in items(mapping(pod.get("spec")).get("containers")):
        if container.get("name") == CONTAINER:
            ports = [port.get("containerPort") for port in items(container.get("ports"))]
            return next((port for port in ports if isinstance(port, int)), 8080)
    return 8080


def _instance(pod: Object, unlabelled: str, address: Address) -> Instance:
    status = container_status(pod)
    leaving, how, url = is_leaving(pod), ended(status), address(pod)
    state = "stopping" if leaving else _state(status)
    again = status.get("restartCount")
    restarts = (again if isinstance(again, int) else 0) + (state == "exited")
    code = how.get("exitCode")
    return Instance(
        name=name_of(pod),
        activation=activation_of(pod, unlabelled),
        state=state,
        ready=not leaving and state == "running" and _is_ready(pod) and url is not None,
        url=url,
        restarts=restarts,
        gave_up=state == "exited" and restarts >= MAX_CRASHES,
        exit_code=code if isinstance(code, int) else None,
        reason=_reason(how),
    )


def _is_ready(pod: Object) -> bool:
    """As the kubelet said last: a pod that is being evicted may have lost its address by then."""
    return condition(pod, "Ready").get("status") == "True"


def _state(status: Object) -> ContainerState:
    state = mapping(status.get("state"))
    if "running" in state:
        return "running"
    if "terminated" in state or waiting(status).get("reason") == "CrashLoopBackOff":
        return "exited"
    return "starting"


def _reason(how: Object) -> str:
    if not how:
        return ""
    word, message = str(how.get("reason") or ""), one_line(how.get("message"))
    of = f" ({word})" if word not in ("", "Error", "Completed") else ""
    return f"The model server ended with exit code {how.get('exitCode')}{of}." + (
        f" Its last words: {message[-300:]}" if message else ""
    )
