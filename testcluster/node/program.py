"""All nodes of the cluster: registered, kept alive, and given the pods that are bound to them."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx2

from testcluster.api import STRATEGIC, Api, Object, Refused
from testcluster.node import images, kubelet
from testcluster.node.orders import Orders
from testcluster.node.pod import PodRun
from testcluster.node.status import micro_now, now

BEAT = 0.5
"""Seconds between two looks at the orders for a node."""

LEASE, STATUS = 2.0, 10.0
"""Seconds between two renewals of a node's lease, and between two reports of its status."""


@dataclass(frozen=True)
class Settings:
    """What `testcluster/nodes.py` writes for this program."""

    url: str
    ca: Path
    token: str
    certificate: Path
    key: Path
    port: int
    folder: Path
    logs: Path
    volumes: Path
    hub: Path
    orders: Path
    network: str
    tempo: float
    back_off: float

    @property
    def commands(self) -> Path:
        return self.folder / "bin"

    @classmethod
    def read(cls, file: Path) -> "Settings":
        values: dict[str, Any] = json.loads(file.read_text())
        for field in fields(cls):
            if field.type is Path:
                values[field.name] = Path(values[field.name])
        return cls(**values)


class Machines:
    """Runs until it is cancelled, or until the node's own code is wrong somewhere."""

    def __init__(self, settings: Settings, api: Api) -> None:
        self.settings, self.api, self.orders = settings, api, Orders(settings.orders)
        self._runs: dict[str, PodRun] = {}
        self._numbers = itertools.cycle(range(1, 255))

    async def run(self) -> None:
        images.make_commands(self.settings.commands)
        await kubelet.serve(self.find, self.settings.port, self.settings.certificate, self.settings.key)
        try:
            async with asyncio.TaskGroup() as group:
                for node in self.orders.nodes:
                    group.create_task(self._beat(node))
                    group.create_task(self._pods_of(node, group))
        finally:
            for run in self._runs.values():
                run.kill()

    def find(self, namespace: str, name: str) -> PodRun | None:
        """The newest of that name."""
        runs = [run for run in self._runs.values() if (run.namespace, run.name) == (namespace, name)]
        return runs[-1] if runs else None

    # The nodes

    async def _beat(self, node: str) -> None:
        lease = reported = 0.0
        shown: dict[str, Any] = {}
        await self._register(node)
        while True:
            order, current = self.orders.nodes[node], time.monotonic()
            try:
                if order.get("gone"):
                    lease = reported = 0.0
                elif current > lease + LEASE:
                    await self._renew(node)
                    lease = current
                if not order.get("gone") and (order != shown or current > reported + STATUS):
                    await self.api.patch("nodes/status", node, {"status": self._status(node)}, kind=STRATEGIC)
                    reported, shown = current, dict(order)
            except (Refused, httpx2.TransportError) as error:
                print(f"{node}: {error!r}", flush=True)
            await asyncio.sleep(BEAT)

    async def _register(self, node: str) -> None:
        labels = {
            "kubernetes.io/hostname": node,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "nvidia.com/gpu.present": "true" if self.orders.nodes[node]["gpus"] else "false",
        }
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}}
        try:
            await self.api.create("nodes", {**body, "status": self._status(node)})
        except Refused as refused:
            if refused.status != 409:  # it was there before this program was started again
                raise

    async def _renew(self, node: str) -> None:
        spec = {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": micro_now()}
        meta = {"name": node, "namespace": "kube-node-lease"}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        await self.api.apply(lease, manager="test-node")

    def _status(self, node: str) -> Object:
        gpus = self.orders.nodes[node]["gpus"]
        size = {"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        size |= {"nvidia.com/gpu": str(gpus)}
        names = "osImage kernelVersion machineID systemUUID bootID kubeProxyVersion containerRuntimeVersion"
        return {
            "capacity": size,
            "allocatable": size,
            # Not its name: the API server would look that up to fetch a log.
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.settings.port}},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "the test node runs",
                    "lastHeartbeatTime": now(),
                }
            ],
            "nodeInfo": dict.fromkeys(names.split(), "test")
            | {"kubeletVersion": "v1.34.4", "operatingSystem": "linux", "architecture": "amd64"},
        }

    # Their pods

    async def _pods_of(self, node: str, group: asyncio.TaskGroup) -> None:
        only = {"fieldSelector": f"spec.nodeName={node}"}
        while True:
            try:
                version = await self._listed(node, only, group)
                async for kind, pod in self.api.watch("pods", version=version, timeoutSeconds="300", **only):
                    self._take(pod, kind == "DELETED", group)
            except (Refused, httpx2.TransportError) as error:
                print(f"{node}: {error!r}", flush=True)
                await asyncio.sleep(0.2)

    async def _listed(self, node: str, only: dict[str, str], group: asyncio.TaskGroup) -> str:
        """All pods of now: of what vanished while nobody watched, nothing would be said."""
        found = await self.api.ask("GET", "/api/v1/pods", query=only)
        there = {pod["metadata"]["uid"] for pod in found["items"]}
        for run in list(self._runs.values()):
            if run.node == node and run.uid not in there:
                run.seen(run.pod, gone=True)
        for pod in found["items"]:
            self._take(pod, False, group)
        return str(found["metadata"]["resourceVersion"])

    def _take(self, pod: Object, gone: bool, group: asyncio.TaskGroup) -> None:
        uid = pod["metadata"]["uid"]
        ended = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
        if uid not in self._runs:
            if gone or (ended and "deletionTimestamp" not in pod["metadata"]):
                return
            self._runs[uid] = PodRun(self, pod, self._free_address())
            group.create_task(self._until_gone(self._runs[uid]))
        self._runs[uid].seen(pod, gone)

    async def _until_gone(self, run: PodRun) -> None:
        try:
            await run.run()
        finally:
            self._runs.pop(run.uid, None)

    def _free_address(self) -> str:
        """Each pod another one than the last, so that who kept an old address is found out."""
        taken = {run.ip for run in self._runs.values()}
        return next(
            ip for number in self._numbers if (ip := f"{self.settings.network}.{number}") not in taken
        )
