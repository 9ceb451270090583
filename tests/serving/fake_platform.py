"""A platform in memory: the port's contract without processes. For tests of what uses a platform.

A manifest's runtime says how its server behaves: `well`, `late`, `never-ready`, `crashes` or `slow-to-stop`. A test may
say where the servers answer (`address`), end one (`crash`), and read what was asked for (`asked`).
"""

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from msgspec import structs

from model_manager.errors import Unprocessable
from model_manager.serving.evidence import Evidence, Pod
from model_manager.serving.findings import Finding
from model_manager.serving.platform import (
    ACTIVATION_LABEL,
    ClusterInfo,
    Difference,
    Instance,
    Manifest,
    Observed,
)

Address = Callable[[Manifest], tuple[str, str | None]]
"""A manifest's URL and bearer key."""

DELAYS = {"late": 0.3, "slow-to-stop": 0.05}
MAX_CRASHES = 3


class FakePlatform:
    name = "fake"
    runtimes: Mapping[str, dict[str, Any]] = {}

    def __init__(self, address: Address | None = None, behaviours: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[str, str]] = []
        """Every `apply` and `delete`, in order: the verb and the activation or slot."""
        self._known = {"well", "late", "never-ready", "crashes", "slow-to-stop", *behaviours}
        self._address = address or (lambda manifest: (f"http://127.0.0.1:{next(self._ports)}", "key"))
        self._ports = count(1)
        self._wanted: dict[str, Manifest] = {}
        self._running: dict[str, Instance] = {}
        self._behaviour: dict[str, str] = {}
        self._output: dict[str, list[str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._callbacks: list[Callable[[str], None]] = []

    async def check(self, manifest: Manifest) -> None:
        if _runtime(manifest) not in self._known:
            raise Unprocessable(f"There is no serving runtime called {_runtime(manifest)!r}.", "Add one.")

    async def dry_run(self, manifest: Manifest) -> list[Finding]:
        known = _runtime(manifest) in self._known
        return [Finding("runtime", "ok" if known else "fail", f"Its runtime is {_runtime(manifest)}.")]

    async def examine(self, manifests: Mapping[str, Manifest]) -> list[Finding]:
        return []

    def problems(self) -> list[str]:
        return []

    async def apply(self, manifest: Manifest) -> None:
        await self.check(manifest)
        slot = manifest["metadata"]["name"]
        self.asked.append(("apply", _activation(manifest)))
        if self._wanted.get(slot) != manifest:
            self._wanted[slot] = manifest
            self._go(slot)

    async def delete(self, name: str) -> None:
        self.asked.append(("delete", name))
        if self._wanted.pop(name, None):
            self._go(name)

    async def observe(self, name: str) -> Observed:
        wanted, instance = self._wanted.get(name), self._running.get(name)
        return Observed(_activation(wanted) if wanted else None, (instance,) if instance else ())

    def drift(self, manifest: Manifest) -> tuple[Difference, ...]:
        return ()

    async def applied(self, name: str) -> Manifest | None:
        return None

    async def foreign(self, name: str) -> Manifest | None:
        return None

    async def release(self, name: str) -> None:
        pass

    async def logs(self, name: str, lines: int) -> list[str]:
        return self._output.get(name, [])[-lines:] if lines else []

    async def evidence(self, name: str) -> Evidence:
        running = self._running.get(name)
        return Evidence(
            pods=(Pod(running.name, running.activation, running.state, ready=running.ready),)
            if running
            else ()
        )

    async def cluster(self) -> ClusterInfo | None:
        return None

    def on_change(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    async def aclose(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def crash(self, slot: str, exit_code: int = 1) -> None:
        """The slot's process ends by itself."""
        self._end(slot, exit_code)
        self._go(slot)

    # -- one task per slot, as on a real platform ---------------------------------------------------

    def _go(self, slot: str) -> None:
        self._tell(slot)
        if slot not in self._tasks or self._tasks[slot].done():
            self._tasks[slot] = asyncio.create_task(self._reconcile(slot))

    async def _reconcile(self, slot: str) -> None:
        while True:
            wanted, running = self._wanted.get(slot), self._running.get(slot)
            if running and (wanted is None or running.activation != _activation(wanted)):
                await self._stop(slot)
            elif wanted and (running is None or (running.state == "exited" and not running.gave_up)):
                await self._start(slot, wanted)
            else:
                return

    async def _stop(self, slot: str) -> None:
        self._set(slot, structs.replace(self._running[slot], state="stopping", ready=False))
        await asyncio.sleep(DELAYS.get(self._behaviour[slot], 0))
        self._set(slot, None)

    async def _start(self, slot: str, manifest: Manifest) -> None:
        behaviour, activation = _runtime(manifest), _activation(manifest)
        before = self._running.get(slot)
        restarts = before.restarts if before else 0
        if before is None:
            self._output[slot] = []
        self._behaviour[slot] = behaviour
        url, key = self._address(manifest)
        name = f"{slot}-{activation}-{restarts}"
        self._set(slot, Instance(name, activation, "running", url=url, key=key, restarts=restarts))
        await asyncio.sleep(DELAYS.get(behaviour, 0) if behaviour == "late" else 0)
        if behaviour == "crashes":
            self._output[slot].append("going away as told")
            self._end(slot, 137)
        elif behaviour != "never-ready" and self._wanted.get(slot) is manifest:
            self._set(slot, structs.replace(self._running[slot], ready=True))

    def _end(self, slot: str, exit_code: int) -> None:
        instance = self._running[slot]
        restarts = instance.restarts + 1
        gave_up = restarts >= MAX_CRASHES
        reason = f"The model server ended with exit code {exit_code}."
        ended = structs.replace(
            instance, state="exited", ready=False, url=None, key=None, exit_code=exit_code,
            restarts=restarts, gave_up=gave_up, reason=reason,
        )  # fmt: skip
        self._set(slot, ended)

    def _set(self, slot: str, instance: Instance | None) -> None:
        if instance is None:
            self._running.pop(slot, None)
        else:
            self._running[slot] = instance
        self._tell(slot)

    def _tell(self, slot: str) -> None:
        for callback in self._callbacks:
            callback(slot)


def _runtime(manifest: Manifest) -> str:
    return str(manifest["spec"]["predictor"]["model"].get("runtime"))


def _activation(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"][ACTIVATION_LABEL])
