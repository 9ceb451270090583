"""The local platform: what KServe's controller and the kubelet would do with a manifest, on this machine."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from model_manager.errors import ModelManagerError
from model_manager.relay import Relay
from model_manager.serving.evidence import Capacity, Evidence, Pod
from model_manager.serving.findings import Finding, gathered, of_error
from model_manager.serving.local import leftovers, plan, ports
from model_manager.serving.local.owner import STUCK_AFTER, Owner, Supervision, Surroundings
from model_manager.serving.local_policy import LocalPolicy
from model_manager.serving.memory import available_bytes
from model_manager.serving.platform import ClusterInfo, Difference, Instance, Manifest, Observed
from model_manager.serving.runtime import ServingRuntime

logger = logging.getLogger(__name__)


class LocalPlatform:
    """Implements `Platform`. Belongs to one event loop, whose thread must live as long as the service.

    `root` is the state folder (`run/` and `logs/` are made in it); `weights` says where a folder of installed weights
    lies and refuses names that leave their root; `environment` is the service's own, of which children get what
    `plan.INHERITED` names; `trust_remote_code` lets entries run code that comes with their weights.
    `stop_grace` is the seconds from TERM to KILL, `supervision` all such patience in one.
    """

    name = "local"

    def __init__(
        self,
        *,
        root: Path,
        weights: Callable[[str], Path],
        runtimes: Mapping[str, ServingRuntime],
        relay: Relay,
        environment: Mapping[str, str] | None = None,
        trust_remote_code: bool = False,
        stop_grace: float = 10.0,
        supervision: Supervision | None = None,
        free_port: Callable[[], int] = ports.free_port,
    ) -> None:
        self._weights, self.runtimes = weights, runtimes
        self._policy = LocalPolicy(trust_remote_code=trust_remote_code)
        keep = supervision or Supervision(stop_grace=stop_grace)
        self._around = Surroundings(root, environment or {}, relay, keep, free_port)
        self._owners: dict[str, Owner] = {}
        self._callbacks: list[Callable[[str], None]] = []

    async def recover(self) -> list[str]:
        """End what a killed service left behind, of slots that no longer exist too. Call before the first `apply`.

        Sentences about what was done, and about what could not be.
        """
        said: list[str] = []
        for record in sorted((self._around.folder / "run").glob("*.json")):
            try:
                ended = await leftovers.end(record)
            except ModelManagerError as error:
                ended = error.sentence
            said += [ended] if ended else []
        return said

    async def check(self, manifest: Manifest) -> None:
        wanted = self._plan(manifest)
        plan.check_weights(wanted)
        plan.check_program(wanted, self._around.inherited)

    async def apply(self, manifest: Manifest) -> None:
        wanted = self._plan(manifest)
        slot = manifest["metadata"]["name"]
        if slot not in self._owners:
            self._owners[slot] = Owner(slot, self._around, self._changed)
        self._owners[slot].want(wanted)

    async def delete(self, name: str) -> None:
        if name in self._owners:
            self._owners[name].want(None)

    async def observe(self, name: str) -> Observed:
        owner = self._owners.get(name)
        return owner.observed() if owner else Observed()

    def drift(self, manifest: Manifest) -> tuple[Difference, ...]:
        return ()

    async def applied(self, name: str) -> Manifest | None:
        return None

    async def foreign(self, name: str) -> Manifest | None:
        return None

    async def release(self, name: str) -> None:
        pass

    async def logs(self, name: str, lines: int) -> list[str]:
        owner = self._owners.get(name)
        return list(owner.tail(lines)) if owner else []

    async def dry_run(self, manifest: Manifest) -> list[Finding]:
        """Whether the weights are there is for others to say: they are installed before a start."""
        try:
            wanted = self._plan(manifest)
            plan.check_program(wanted, self._around.inherited)
        except ModelManagerError as error:
            return [of_error("runtime", error)]
        return [
            Finding("runtime", "ok", f"The serving runtime {wanted.container.runtime} can be started here.")
        ]

    async def examine(self, manifests: Mapping[str, Manifest]) -> list[Finding]:
        pairs = [(model, one) for model, wanted in manifests.items() for one in await self.dry_run(wanted)]
        return gathered(pairs)

    def problems(self) -> list[str]:
        return []

    async def evidence(self, name: str) -> Evidence:
        """Its process, and the memory of this machine."""
        instances = (await self.observe(name)).instances
        free = await asyncio.to_thread(available_bytes)
        return Evidence(
            pods=tuple(_process(one) for one in instances),
            capacity=(Capacity("this machine", "memory", None, free),),
        )

    async def cluster(self) -> ClusterInfo | None:
        return None

    def on_change(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    async def aclose(self) -> None:
        """Stop every process, all at once: as long as the grace period and what a kill takes."""
        closing = {asyncio.create_task(owner.aclose()): owner.slot for owner in self._owners.values()}
        if not closing:
            return
        limit = self._around.supervision.stop_grace + 2 * STUCK_AFTER
        _, stuck = await asyncio.wait(closing, timeout=limit)
        for task in stuck:
            logger.error("slot %s: its process does not end, even when killed; it is left", closing[task])

    def _plan(self, manifest: Manifest) -> plan.Plan:
        return plan.make(manifest, self.runtimes, self._weights, self._policy)

    def _changed(self, slot: str) -> None:
        for callback in self._callbacks:
            callback(slot)


def _process(one: Instance) -> Pod:
    return Pod(
        name=one.name, activation=one.activation, phase=one.state, ready=one.ready, leaving=one.state == "stopping",
        restarts=one.restarts, exit_code=one.exit_code, message=one.reason,
    )  # fmt: skip
