"""The whole cluster: up in seconds, down at once, nothing left of it."""

import asyncio
import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from testcluster import build, knative, kserve, manifests
from testcluster.api import Api, Refused
from testcluster.credentials import Credentials
from testcluster.kubernetes import ControlPlane
from testcluster.namespace import Namespace
from testcluster.nodes import Nodes

LOGS = Path(__file__).parents[1] / "build" / "test-cluster"
KEPT = 5
"""Runs whose logs are kept beside those of the newest: of failures, and of runs that were killed."""


def say(line: str) -> None:
    print(f"testcluster: {line}", file=sys.stderr, flush=True)


class Cluster:
    """etcd, the Kubernetes servers, KServe and two nodes (`gpu-1` has one GPU, `cpu-1` has none).

    `start` may run in any event loop, `stop` needs none; in between the cluster belongs to no loop. Programs are
    `control.etcd`, `control.apiserver`, `control.controllers`, `control.scheduler`, `kserve.program` and, after
    `start_knative`, `knative.webhook` and `knative.controller`: each can be killed, paused and started again.
    """

    def __init__(self, programs: Path) -> None:
        self.folder = _own_folder()
        self.logs = _own_logs()
        self._programs = programs
        self._numbers = 0
        self.credentials = Credentials(self.folder / "credentials")
        self.control = ControlPlane(programs, self.folder, self.logs, self.credentials)
        self.url = self.control.url
        self.kubeconfig = self.credentials.kubeconfig("admin", self.url, self.credentials.tokens["admin"])
        source = build.module_folder("core", kserve.MODULE)
        self.kserve = kserve.KServe(programs, source, self.folder, self.logs, self.credentials, self.url)
        self.nodes = Nodes(self.folder, self.logs, self.credentials, self.url)
        self.knative: knative.Knative | None = None

    async def start(self, mode: str = "Standard") -> None:
        """Up to a KServe whose webhooks answer and nodes that are Ready. `mode`: KServe's default deployment mode."""
        self.control.etcd.start()
        self.control.apiserver.start()  # it waits for etcd by itself
        await self.ready()
        self.control.controllers.start()
        self.control.scheduler.start()
        async with self.client() as api:
            self.nodes.start()
            await asyncio.gather(self.kserve.start(api, mode), self.nodes.ready(api))
        self.check()

    async def start_knative(self) -> None:
        """Once per cluster, on demand: seconds and 150 MB."""
        if self.knative is None:
            modules = (knative.SERVING, knative.NETWORKING, knative.CACHING)
            sources = {module: build.module_folder("knative", module) for module in modules}
            self.knative = knative.Knative(
                self._programs, sources, self.folder, self.logs, self.credentials, self.url
            )
            async with self.client() as api:
                await self.knative.start(api)
            await self.kserve.restart()

    def stop(self, keep_logs: bool = False) -> None:
        """End every program and remove every file but, where wanted, the logs."""
        self.nodes.stop()
        if self.knative:
            self.knative.webhook.kill()
            self.knative.controller.kill()
        self.kserve.program.kill()
        for program in reversed(list(self.control)):
            program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not keep_logs:
            shutil.rmtree(self.logs, ignore_errors=True)

    def check(self) -> None:
        """Died: one of the programs ended that should run."""
        for program in (*self.control, self.kserve.program, self.nodes.program):
            program.check()
        if self.knative:
            self.knative.webhook.check()
            self.knative.controller.check()

    def client(self, token: str | None = None) -> Api:
        """The API as the administrator, or as who has `token`. Close it in the loop that used it."""
        return Api(self.url, self.credentials.ca, token or self.credentials.tokens["admin"])

    @asynccontextmanager
    async def namespace(self, name: str = "test") -> AsyncIterator[Namespace]:
        """A namespace of one's own, `name` and a number. At the end its pods are gone: there is one GPU.

        The name is cut: KServe makes host names of it, and tries for ever where they would be too long.
        """
        self._numbers += 1
        self.check()
        async with self.client() as api:
            made = Namespace(self, api, f"{name[:36].rstrip('-')}-{self._numbers}")
            await made.create()
            try:
                yield made
            finally:
                await made.remove()

    async def ready(self, within: float = manifests.PATIENCE) -> None:
        """Wait for the API server, at the start and after a restart."""
        async with asyncio.timeout(within), self.client() as api:
            while True:
                self.control.etcd.check()
                self.control.apiserver.check()
                try:
                    return await self._answers(api)
                except (Refused, httpx2.TransportError):
                    await asyncio.sleep(0.05)

    async def restart_apiserver(self) -> None:
        """Kill it without a word, as a node failure does, and wait until it is back at the same address."""
        self.control.apiserver.kill()
        self.control.apiserver.start()
        await self.ready()

    def audit(self, user: str) -> list[dict[str, Any]]:
        """What `user` asked of the API server so far, from the audit log: `verb`, `objectRef`, `responseStatus`."""
        with self.control.audit_log.open() as log:
            entries = [json.loads(line) for line in log if line.endswith("}\n")]
        return [entry for entry in entries if entry["user"]["username"] == user]

    @staticmethod
    async def _answers(api: Api) -> None:
        await api.ask("GET", "/readyz")


def _own_folder() -> Path:
    """A new one, held by this process; those of runs that were killed are removed."""
    for lock in Path(tempfile.gettempdir()).glob("testcluster-*/lock"):
        with suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="testcluster-"))
    held = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)  # until this process ends
    fcntl.flock(held, fcntl.LOCK_EX)
    return folder


def _own_logs() -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in sorted(LOGS.iterdir())[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    logs = LOGS / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    logs.mkdir()
    return logs


@asynccontextmanager
async def cluster(mode: str = "Standard") -> AsyncIterator[Cluster]:
    """A cluster for scripts; tests have the fixture of `tests/cluster`. Builds the programs where they are missing."""
    made = Cluster(build.programs(say))
    failed = True
    try:
        await made.start(mode)
        yield made
        failed = False
    finally:
        made.stop(keep_logs=failed)
        if failed:
            say(f"the cluster's logs are in {made.logs}")
