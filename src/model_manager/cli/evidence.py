"""What the platform shows of a slot, in lines: conditions that are not met, pods, warnings, what is free."""

from collections.abc import Iterator

from model_manager import client as api
from model_manager.cli import output


def lines(seen: "api.types.Evidence") -> Iterator[str]:
    for one in seen.conditions:
        if one.status != "True" and one.type != "Stopped":
            yield _condition(one)
    for pod in seen.pods:
        yield _pod(pod)
        yield from (f"  {_condition(one)}" for one in pod.conditions if one.status != "True")
    for event in seen.events:
        times = f" ({event.count} times)" if event.count > 1 else ""
        yield f"{event.time}  {event.about}  {event.reason}: {event.message}{times}"
    for room in seen.capacity:
        yield _capacity(room)
    yield from seen.unknown


def _condition(one: "api.types.Condition") -> str:
    why = ": ".join(part for part in (one.reason, one.message) if part)
    return f"{one.type} is {one.status}{f': {why}' if why else ''}"


def _pod(pod: "api.types.Pod") -> str:
    facts = (
        pod.phase,
        "ready" if pod.ready else "not ready",
        "leaving" if pod.leaving else "",
        f"on {pod.node}" if pod.node else "",
        output.count(pod.restarts, "restart") if pod.restarts else "",
        f"exit code {pod.exit_code}" if pod.exit_code is not None else "",
    )
    said = f"; {pod.message}" if pod.message else ""
    return f"{pod.name}: {', '.join(fact for fact in facts if fact)}{said}"


def _capacity(room: "api.types.Capacity") -> str:
    memory = room.resource == "memory"
    free, total = (output.human_size(n) if memory else n for n in (room.free, room.total))
    of = f" of {total}" if room.total is not None else ""
    return f"{room.place}: {'?' if room.free is None else free}{of} {room.resource} free"
