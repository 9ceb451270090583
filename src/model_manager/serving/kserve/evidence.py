"""What a cluster shows of a slot, for people to read: conditions, pods, warnings. Pure."""

import re
from collections.abc import Iterable

from model_manager.serving.evidence import Condition, Pod, Warned
from model_manager.serving.kserve.kinds import (
    Object,
    is_leaving,
    items,
    mapping,
    metadata,
    name_of,
    one_line,
)
from model_manager.serving.kserve.pods import activation_of, container_status, ended, waiting

NEWEST = 20
"""Warnings that are shown: a crash loop has a few, which are counted up; each pod has its own."""

_NOISE = re.compile(r"^FailedToUpdateEndpoint|the object has been modified")
"""Controllers warn of their own conflicts at every switch, and try again."""


def conditions(item: Object) -> tuple[Condition, ...]:
    found = items(mapping(item.get("status")).get("conditions"))
    return tuple(
        Condition(
            str(one.get("type", "")), str(one.get("status", "")), str(one.get("reason") or ""),
            str(one.get("message") or ""), str(one.get("lastTransitionTime") or ""),
        )
        for one in found
    )  # fmt: skip


def pod(item: Object, unlabelled: str) -> Pod:
    """`unlabelled` is the activation of a pod that carries none: one of an adopted object."""
    status, container = mapping(item.get("status")), _telling(item)
    code, restarts = ended(container).get("exitCode"), container.get("restartCount")
    told = conditions(item)
    return Pod(
        name=name_of(item),
        activation=activation_of(item, unlabelled),
        phase=str(status.get("phase") or ""),
        node=str(mapping(item.get("spec")).get("nodeName") or ""),
        ready=any((one.type, one.status) == ("Ready", "True") for one in told),
        leaving=is_leaving(item),
        restarts=restarts if isinstance(restarts, int) else 0,
        exit_code=code if isinstance(code, int) else None,
        message=_message(status, container),
        conditions=told,
    )


def warnings(name: str, events: Iterable[Object]) -> tuple[Warned, ...]:
    """The newest about the InferenceService of this name and what was made for it, gone or not; oldest first."""
    found = []
    for event in events:
        about = mapping(event.get("involvedObject"))
        named = str(about.get("name", ""))
        ours = named == name or named.startswith(f"{name}-predictor")
        if ours and not _NOISE.search(f"{event.get('reason')}: {event.get('message')}"):
            found.append(_warned(event, f"{about.get('kind')}/{named}"))
    return tuple(sorted(found, key=lambda one: one.time)[-NEWEST:])


def _warned(event: Object, about: str) -> Warned:
    """Older events have `lastTimestamp` and `count`, newer ones a `series`, the scheduler's `eventTime` alone."""
    series = mapping(event.get("series"))
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    time = next((str(one) for one in times if one), str(metadata(event).get("creationTimestamp") or ""))
    count = series.get("count") or event.get("count")
    return Warned(
        time, about, str(event.get("reason") or ""), str(event.get("message") or ""),
        count if isinstance(count, int) else 1,
    )  # fmt: skip


def _telling(item: Object) -> Object:
    """The status of the serving container, or of the one before it that keeps it waiting."""
    for status in items(mapping(item.get("status")).get("initContainerStatuses")):
        if ended(status).get("exitCode") or (waiting(status).get("reason") not in (None, "PodInitializing")):
            return status
    return container_status(item)


def _message(status: Object, container: Object) -> str:
    waits, how = waiting(container), ended(container)
    told = [
        f"{one['reason']}: {one_line(one.get('message'))}".removesuffix(": ")
        for one in (status, waits, how)
        if one.get("reason")
    ]
    return " | ".join(told)[:1000]
