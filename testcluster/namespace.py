"""A test's own namespace: volumes, runtimes, accounts, and what happened in it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcluster.api import Api, Object, Refused

if TYPE_CHECKING:
    from testcluster.cluster import Cluster


class Namespace:
    """Made by `Cluster.namespace`. `api` is the administrator's."""

    def __init__(self, cluster: Cluster, api: Api, name: str) -> None:
        self.cluster, self.api, self.name = cluster, api, name
        self._volumes: list[str] = []

    async def create(self) -> None:
        await self.api.create("namespaces", {"metadata": {"name": self.name}})
        # No pod is admitted before its account is there, and a ReplicaSet then waits longer and longer.
        await self.wait(lambda: self.api.find("serviceaccounts", "default", self.name))

    async def remove(self) -> None:
        """Everything in it goes; returns when its pods have: they hold the GPU.

        Pods are deleted here, once nobody may make new ones: the controller of namespaces lets 5 s pass first.
        """
        self.cluster.nodes.heal(self.name)
        for isvc in await self.api.list("inferenceservices", self.name):
            await self._let_go(isvc["metadata"]["name"])
        await self.api.delete("namespaces", self.name)
        for pod in await self.pods():
            await self.api.delete("pods", pod["metadata"]["name"], self.name, {"gracePeriodSeconds": 1})
        await self.wait(self._is_without_pods, within=40)
        for volume in self._volumes:
            await self.api.delete("persistentvolumes", volume)
        shutil.rmtree(self.cluster.nodes.volumes / self.name, ignore_errors=True)

    async def _let_go(self, isvc: str) -> None:
        """Nobody may be left who would take care of its finalizers; it may be gone by now."""
        try:
            await self.api.patch("inferenceservices", isvc, {"metadata": {"finalizers": None}}, self.name)
        except Refused as refused:
            if refused.status != 404:
                raise

    async def _is_without_pods(self) -> bool:
        return not await self.api.list("pods", self.name)

    async def apply(self, body: Object, manager: str = "testcluster") -> Object:
        """Server-side apply, in this namespace."""
        body = {**body, "metadata": {**body["metadata"], "namespace": self.name}}
        return await self.api.apply(body, manager=manager)

    async def claim(self, name: str = "weights", bound: bool = True) -> Path:
        """A PersistentVolumeClaim and the folder that it is; unbound, it waits for a volume for ever."""
        spec = {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": "" if bound else "nobody-provides-this",
        }
        folder = self.cluster.nodes.volumes / self.name / name
        folder.mkdir(parents=True)
        if bound:
            await self._volume(name, folder)
        kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
        await self.apply({**kind, "spec": spec})
        if bound:
            await self.wait(lambda: self._bound(name))
        return folder

    async def _volume(self, name: str, folder: Path) -> None:
        volume = f"{self.name}-{name}"
        self._volumes.append(volume)
        spec = {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": self.name, "name": name},
            "hostPath": {"path": str(folder)},
        }
        kind = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}}
        await self.api.apply({**kind, "spec": spec})

    async def _bound(self, claim: str) -> bool:
        found = await self.api.get("persistentvolumeclaims", claim, self.name)
        return bool(found.get("status", {}).get("phase") == "Bound")

    async def account(self, name: str, rules: Sequence[Mapping[str, Any]]) -> Path:
        """A ServiceAccount with these rights in this namespace, and a kubeconfig with a token of its own."""
        rbac = "rbac.authorization.k8s.io"
        meta = {"metadata": {"name": name}}
        await self.apply({"apiVersion": "v1", "kind": "ServiceAccount", **meta})
        await self.grant(name, rules)
        binding = {
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        }
        await self.apply({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", **meta, **binding})
        token = await self.token(name)
        return self.cluster.credentials.kubeconfig(f"{self.name}.{name}", self.cluster.url, token, self.name)

    async def grant(self, account: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace what the account may do."""
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": account}}
        await self.apply({**kind, "rules": [dict(rule) for rule in rules]})

    async def token(self, account: str, seconds: int = 3600) -> str:
        """A new token of the account. The API server grants no less than 600 s."""
        body = {"spec": {"expirationSeconds": seconds}}
        made = await self.api.create(f"serviceaccounts/{account}/token", body, self.name)
        return str(made["status"]["token"])

    async def pods(self) -> list[Object]:
        return await self.api.list("pods", self.name)

    async def events(self) -> list[Object]:
        return await self.api.list("events", self.name)

    async def isvc(self, name: str = "active-llm") -> Object | None:
        return await self.api.find("inferenceservices", name, self.name)

    def fail(self, failure: str, **labels: str) -> None:
        """Pods of this namespace fail so from now on. In names of labels `__` is `/` and `_` is `-`."""
        named = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
        self.cluster.nodes.fail(self.name, failure, named)

    def heal(self) -> None:
        self.cluster.nodes.heal(self.name)

    async def wait(self, check: Callable[[], Any], within: float = 60.0) -> Any:
        """The first true value of `check()`, awaited; AssertionError after `within` seconds."""
        deadline = asyncio.get_running_loop().time() + within
        while not (value := await check()):
            assert asyncio.get_running_loop().time() < deadline, f"not so within {within} s: {check}"
            await asyncio.sleep(0.05)
        return value
