"""The test node program as the tests hold it: start it, order its nodes and pods to fail, look into its volumes."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testcluster.api import Api
from testcluster.credentials import Credentials
from testcluster.kubernetes import free_ports
from testcluster.manifests import PATIENCE
from testcluster.process import Program

GPUS = {"gpu-1": 1, "cpu-1": 0}
"""The nodes at the start, and how many GPUs each has."""

TEMPO = 0.2
"""Seconds of a test for each second between two probes: a readiness probe every 5 s runs every second."""

BACK_OFF = 1.0
"""Seconds of the first back-off of a crash loop and of an image that cannot be pulled; a kubelet's are 10."""


class Nodes:
    """One program plays all nodes. Orders are in force when the method returns; pods see them within 0.1 s."""

    def __init__(self, folder: Path, logs: Path, credentials: Credentials, url: str) -> None:
        self.volumes, self.hub = folder / "volumes", folder / "hub"
        self._orders_file = folder / "orders.json"
        self._orders: dict[str, Any] = {
            "nodes": {name: {"gpus": gpus} for name, gpus in GPUS.items()},
            "pods": [],
        }
        (port,) = free_ports(1)
        settings = {
            "url": url,
            "ca": str(credentials.ca),
            "token": credentials.tokens["test-node"],
            "certificate": str(credentials.certificate),
            "key": str(credentials.key),
            "port": port,
            "folder": str(folder / "node"),
            "logs": str(logs / "pods"),
            "volumes": str(self.volumes),
            "hub": str(self.hub),
            "orders": str(self._orders_file),
            "network": _network(),
            "tempo": TEMPO,
            "back_off": BACK_OFF,
        }
        self._settings_file = folder / "node.json"
        self._settings_file.write_text(json.dumps(settings))
        self.program = Program(
            "test-node",
            [sys.executable, "-m", "testcluster.node", self._settings_file],
            logs / "test-node.log",
            {"PYTHONPATH": str(Path(__file__).parents[1])},
        )

    def start(self) -> None:
        self._give_orders()
        self.program.start()

    def stop(self) -> None:
        """Its pods' processes end with it."""
        self.program.kill()

    async def ready(self, api: Api) -> None:
        async with asyncio.timeout(PATIENCE):
            while not all(map(_is_ready, found := await api.list("nodes"))) or len(found) < len(GPUS):
                self.program.check()
                await asyncio.sleep(0.1)

    def fail(self, namespace: str, failure: str, labels: Mapping[str, str] | None = None) -> None:
        """From now on pods of `namespace` (those with `labels`) fail so: see `testcluster/node/orders.py`."""
        self._orders["pods"].append({"namespace": namespace, "labels": dict(labels or {}), "fail": failure})
        self._give_orders()

    def heal(self, namespace: str) -> None:
        """Take back every `fail` for the namespace."""
        self._orders["pods"] = [one for one in self._orders["pods"] if one["namespace"] != namespace]
        self._give_orders()

    def lose(self, node: str) -> None:
        """The node's machine is cut off: its processes go on, nobody hears of them."""
        self._order_node(node, gone=True)

    def bring_back(self, node: str) -> None:
        self._order_node(node, gone=False)

    def set_gpus(self, node: str, gpus: int) -> None:
        """What the node offers from now on; pods that run keep theirs. Told to the API server within 0.5 s."""
        self._order_node(node, gpus=gpus)

    def _order_node(self, node: str, **order: Any) -> None:
        self._orders["nodes"][node] |= order
        self._give_orders()

    def _give_orders(self) -> None:
        staged = self._orders_file.with_suffix(".new")
        staged.write_text(json.dumps(self._orders))
        staged.replace(self._orders_file)


def _network() -> str:
    """The first three bytes of the pods' addresses: another cluster on this machine has others."""
    number = os.getpid()
    return f"127.{64 + number % 64}.{number // 64 % 256}"


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
