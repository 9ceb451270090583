"""The life of one pod on a node: init containers, containers, termination, and what is reported of them."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from testcluster.api import STRATEGIC, Object, Refused
from testcluster.node.container import GLANCE, ContainerRun
from testcluster.node.status import Conditions, now

if TYPE_CHECKING:
    from testcluster.node.program import Machines

EVICTION = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 1Mi."


class PodRun:
    """From the moment it is bound to a node until its object is gone. `seen` is told each change of the object."""

    def __init__(self, machines: Machines, pod: Object, ip: str) -> None:
        self.machines, self.api, self.settings, self.pod, self.ip = (
            machines,
            machines.api,
            machines.settings,
            pod,
            ip,
        )
        self.namespace, self.name, self.uid = (pod["metadata"][key] for key in ("namespace", "name", "uid"))
        self.node: str = pod["spec"]["nodeName"]
        self.folder = self._made(self.settings.folder / "pods" / self.uid)
        self.logs = self._made(self.settings.logs / f"{self.namespace}_{self.name}")
        self.deleted, self.evicted, self.gone = asyncio.Event(), False, False
        self._dirty, self._written = asyncio.Event(), ""
        self._conditions, self._phase, self._extra = Conditions(), "Pending", dict[str, str]()
        self._events: dict[tuple[str, str], tuple[str, int]] = {}
        inits = pod["spec"].get("initContainers", [])
        self._inits = [ContainerRun(self, one, True, "PodInitializing") for one in inits]
        waiting = "PodInitializing" if inits else "ContainerCreating"
        self._mains = [ContainerRun(self, one, False, waiting) for one in pod["spec"]["containers"]]
        self._initialized = not inits

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def container(self, name: str) -> ContainerRun | None:
        return next((one for one in (*self._inits, *self._mains) if one.name == name), None)

    def failures(self) -> dict[str, str]:
        return self.machines.orders.failures(self.pod)

    def seen(self, pod: Object, gone: bool) -> None:
        self.pod, self.gone = pod, gone
        if gone or "deletionTimestamp" in pod["metadata"]:
            self.deleted.set()
        conditions = pod.get("status", {}).get("conditions") or []
        said = next((one["status"] == "True" for one in conditions if one["type"] == "Ready"), self._is_ready)
        if said != self._is_ready:  # the controller of nodes wrote so while this node was lost
            self._written = ""
            self.changed()

    async def pause(self, seconds: float) -> None:
        """Seconds pass, or the pod is deleted."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.deleted.wait(), seconds)

    async def run(self) -> None:
        """Returns when the object is gone and no process is left."""
        writer = asyncio.create_task(self._write_changes())
        life = asyncio.create_task(self._live())
        self.changed()
        try:
            while not self.deleted.is_set():
                if life.done():
                    life.result()  # whatever went wrong in the node's own code ends the node, and is seen
                if "evict" in self.failures() and not self.evicted:
                    await self._evict()
                await asyncio.sleep(GLANCE)
            if not self.evicted:
                await self._end_processes()
            await life
            await self._let_go()
        finally:
            self.kill()
            writer.cancel()
            life.cancel()

    async def _live(self) -> None:
        for init in self._inits:
            if not await init.run():
                return
        self._initialized = True
        self._phase = "Running"
        await asyncio.gather(*(one.run() for one in self._mains))

    async def _evict(self) -> None:
        """A failed pod stays as an object; its owner makes another."""
        self.evicted = True
        self._phase, self._extra = "Failed", {"reason": "Evicted", "message": EVICTION}
        await self._end_processes(grace=0.0)
        await self.event("Evicted", EVICTION, "Warning")

    async def _end_processes(self, grace: float | None = None) -> None:
        """SIGTERM, the grace period, SIGKILL. Its Ready condition stays as it is until a process has ended."""
        if grace is None:
            grace = 0.0 if self.gone else float(self.pod["metadata"].get("deletionGracePeriodSeconds", 30))
        alive = [one for one in (*self._inits, *self._mains) if one.is_alive]
        begun = time.monotonic()
        for one in alive:
            await self.event("Killing", f"Stopping container {one.name}", container=one.name)
        if seconds := self.failures().get("slow-termination"):
            await asyncio.sleep(min(float(seconds), grace))
        for one in alive:
            one.kill(signal.SIGTERM)
        for one in alive:
            assert one.process
            try:
                await asyncio.wait_for(one.process.wait(), max(0.2, grace - (time.monotonic() - begun)))
            except TimeoutError:
                one.kill(signal.SIGKILL)
                await one.process.wait()
            one.stopped()
        await self._write()

    async def _let_go(self) -> None:
        """Only now is the object removed: until then it is Terminating, and holds what it was given."""
        while not self.gone:
            if not self.machines.orders.is_gone(self.node):
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
                with suppress(Refused, httpx2.TransportError):
                    await self.api.delete("pods", self.name, self.namespace, options)
                    return
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        for one in (*self._inits, *self._mains):
            one.kill(signal.SIGKILL)

    # What is reported

    def changed(self) -> None:
        """The status is to be written."""
        self._dirty.set()

    async def _write_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not await self._write():
                await asyncio.sleep(0.1)
                self.changed()

    async def _write(self) -> bool:
        """False: try again."""
        body = self._status()
        text = json.dumps(body)
        if self.machines.orders.is_gone(self.node):
            return False
        if text == self._written or self.gone:
            return True
        try:
            patch = {"metadata": {"uid": self.uid}, "status": body}
            await self.api.patch("pods/status", self.name, patch, self.namespace, STRATEGIC)
        except Refused as refused:
            return refused.status in (404, 409)  # there is no such pod any more
        except httpx2.TransportError:
            return False
        self._written = text
        return True

    @property
    def _is_ready(self) -> bool:
        return self._phase == "Running" and all(one.status["ready"] for one in self._mains)

    def _status(self) -> Object:
        return {
            "phase": self._phase,
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "startTime": self.pod["metadata"]["creationTimestamp"],
            "conditions": self._conditions.list(self._initialized, self._is_ready),
            "initContainerStatuses": [one.status for one in self._inits],
            "containerStatuses": [one.status for one in self._mains],
            **self._extra,
        }

    async def event(self, reason: str, message: str, kind: str = "Normal", container: str = "") -> None:
        """The first time a new Event, then its count."""
        if self.machines.orders.is_gone(self.node):
            return
        known, count = self._events.get((reason, message), ("", 0))
        self._events[reason, message] = (known or f"{self.name}.{time.time_ns():x}", count + 1)
        name = self._events[reason, message][0]
        with suppress(Refused, httpx2.TransportError):
            if known:
                patch = {"count": count + 1, "lastTimestamp": now()}
                await self.api.patch("events", name, patch, self.namespace)
            else:
                await self.api.create(
                    "events", self._event(name, reason, message, kind, container), self.namespace
                )

    def _event(self, name: str, reason: str, message: str, kind: str, container: str) -> Object:
        involved: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
        if container:
            group = "initContainers" if container in [one.name for one in self._inits] else "containers"
            involved["fieldPath"] = f"spec.{group}{{{container}}}"
        return {
            "metadata": {"name": name, "namespace": self.namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "source": {"component": "kubelet", "host": self.node},
            "reportingComponent": "kubelet",
            "reportingInstance": self.node,
        }
