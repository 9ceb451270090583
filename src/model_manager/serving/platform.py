"""The port to what runs a slot. `local/` and, on a cluster, `kserve/` implement it; both pass one contract suite.

An adapter takes a finished manifest and decides nothing about models. It is told what should be
(`apply`, `delete`), it tells what is (`observe`), and calls back when something may have changed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from model_manager.serving.evidence import Evidence
from model_manager.serving.findings import Finding

Manifest = dict[str, Any]
"""A rendered KServe InferenceService, as JSON."""

ACTIVATION_LABEL = "model-manager/activation"
"""On the InferenceService's metadata and on its predictor, so that pods carry it."""

ADOPT_ANNOTATION = "model-manager/adopt"
"""On a manifest that was never applied: what is under its name now is to be taken over as it is."""


def is_adoption(manifest: Manifest) -> bool:
    return bool((manifest["metadata"].get("annotations") or {}).get(ADOPT_ANNOTATION) == "true")


ContainerState = Literal["starting", "running", "stopping", "exited"]


class Instance(Struct, frozen=True):
    """One pod (kserve) or process (local) of a slot, as last seen.

    `running` means that the process is there and has not failed; `ready` that its own health probe passed.
    `url` is where to reach it and `key` the bearer key it wants. `restarts` counts ends so far;
    `gave_up` says that the platform will not start it again. `exit_code` is that of the latest end
    (negative: the signal's number, as subprocess tells it), `reason` a sentence about it.
    """

    name: str
    activation: str
    state: ContainerState
    ready: bool = False
    url: str | None = None
    key: str | None = None
    pid: int | None = None
    restarts: int = 0
    gave_up: bool = False
    exit_code: int | None = None
    reason: str = ""
    log_tail: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """Which run this is: what was found out about one run says nothing about the next."""
        return f"{self.name}/{self.pid}/{self.restarts}/{self.url}"


class Trouble(Struct, frozen=True):
    """What keeps a model from starting, where the platform itself knows it. `final`: waiting did not mend it."""

    code: str
    sentence: str
    hint: str = ""
    final: bool = False


class Difference(Struct, frozen=True):
    """A field of the applied object that somebody else changed; `by` names them, if that is recorded."""

    field: str
    wanted: Any
    found: Any
    by: str = ""


class ClusterInfo(Struct, frozen=True, rename="camel"):
    """Which cluster serves. `kserve` is its version, or what its admission shows of it (`0.16 to 0.19`).

    `default_mode` is how it serves what asks for no mode, `modes` how it serves each InferenceService of a slot:
    `Standard` or `Knative`. What is not known is ""; `trouble` says why.
    """

    kubernetes: str = ""
    kserve: str = ""
    default_mode: str = ""
    modes: dict[str, str] = {}
    trouble: str = ""


class Observed(Struct, frozen=True):
    """What the platform holds under one slot's name: the applied object's activation and its instances.

    `trouble` is about the wanted activation's start.
    """

    activation: str | None = None
    instances: tuple[Instance, ...] = ()
    trouble: Trouble | None = None

    @property
    def empty(self) -> bool:
        """Nothing is applied and nothing of it runs any more."""
        return self.activation is None and not self.instances


class Platform(Protocol):
    """What a slot's loop asks of a platform. All verbs are idempotent and return without waiting for the effect."""

    name: str

    @property
    def runtimes(self) -> Mapping[str, dict[str, Any]]:
        """The ServingRuntimes that a model can be served with here, by name, as far as they are known."""

    async def check(self, manifest: Manifest) -> None:
        """Raise a ModelManagerError with a sentence when this manifest can never run here; changes nothing."""

    async def apply(self, manifest: Manifest) -> None:
        """Make this object the wanted one under its name. An older one is stopped first, whole (Recreate)."""

    async def delete(self, name: str) -> None:
        """Want nothing under this name: what runs is told to stop, and killed after its grace period."""

    async def observe(self, name: str) -> Observed:
        """What is there now. Never raises for an absent name: that is `Observed()`."""

    def drift(self, manifest: Manifest) -> tuple[Difference, ...]:
        """What others have changed in this object since it was applied; nothing where nobody can."""

    async def applied(self, name: str) -> Manifest | None:
        """The object under this name as `apply` once made it, for a service that has lost its own record of it."""

    async def foreign(self, name: str) -> Manifest | None:
        """The object under this name that somebody else made, as it is; `apply` with ADOPT_ANNOTATION takes it over."""

    async def release(self, name: str) -> None:
        """Give an object that was taken over back, as it was. It goes on running."""

    async def logs(self, name: str, lines: int) -> list[str]:
        """The last log lines of the newest instance, oldest first."""

    async def evidence(self, name: str) -> Evidence:
        """What people would look at to see why this name serves or does not; what may not be read is said in it."""

    async def dry_run(self, manifest: Manifest) -> list[Finding]:
        """All that `check` looks at, also what is well and what cannot be known. Changes nothing, raises nothing."""

    async def examine(self, manifests: Mapping[str, Manifest]) -> list[Finding]:
        """What this platform needs to serve, and what these manifests (by model) need of it. Raises nothing."""

    def problems(self) -> list[str]:
        """What it cannot do now, in sentences. What serves goes on serving."""

    async def cluster(self) -> ClusterInfo | None:
        """Which cluster serves; None on a single machine. Does not wait long, and raises nothing."""

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call back with a slot's name whenever what `observe` says of it may have changed."""

    async def aclose(self) -> None:
        """Let go. The local platform stops its processes; a cluster goes on serving."""
