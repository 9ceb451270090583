"""What there is to see of a slot, in the platform's own words: what a cause was read from. Pure."""

from msgspec import Struct


class Condition(Struct, frozen=True, rename="camel"):
    """One that an InferenceService or a pod has, as Kubernetes tells it."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: str = ""


class Pod(Struct, frozen=True, rename="camel"):
    """A pod, or a process of this machine. `message` is why its container waits, or how it ended last."""

    name: str
    activation: str
    phase: str
    node: str = ""
    ready: bool = False
    leaving: bool = False
    restarts: int = 0
    exit_code: int | None = None
    message: str = ""
    conditions: tuple[Condition, ...] = ()


class Warned(Struct, frozen=True, rename="camel"):
    """A warning among the cluster's events, of something of this slot; `about` is its kind and name."""

    time: str
    about: str
    reason: str
    message: str
    count: int = 1


class Capacity(Struct, frozen=True, rename="camel"):
    """What a place has of something: GPUs in pieces, memory in bytes. None: not known."""

    place: str
    resource: str
    total: int | None
    free: int | None


class Evidence(Struct, frozen=True, rename="camel"):
    """`unknown` are sentences about what could not be looked at."""

    conditions: tuple[Condition, ...] = ()
    pods: tuple[Pod, ...] = ()
    events: tuple[Warned, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    unknown: tuple[str, ...] = ()
