"""KServe 0.20: its CRDs, its settings, its controller and its webhooks, from the module's own `config/`."""

import asyncio
import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2

from testcluster import manifests
from testcluster.api import Api, Object
from testcluster.credentials import Credentials
from testcluster.kubernetes import free_ports
from testcluster.process import Program

MODULE = "github.com/kserve/kserve"
NAMESPACE = "kserve"
INITIALIZER = "kserve/storage-initializer:v0.20.0"


class KServe:
    """Installed by `start`, into an API server that answers. `program` is its controller and webhook server."""

    def __init__(
        self, programs: Path, source: Path, folder: Path, logs: Path, credentials: Credentials, url: str
    ) -> None:
        self._config, self._credentials = source / "config", credentials
        self._webhooks, metrics, self._health = free_ports(3)
        scratch = folder / "kserve"
        self._lay_certificates(scratch / "k8s-webhook-server" / "serving-certs")
        kubeconfig = credentials.kubeconfig("kserve", url, credentials.tokens["kserve"])
        self.program = Program(
            "kserve-manager",
            [
                programs / "kserve-manager",
                f"--metrics-addr=127.0.0.1:{metrics}",
                f"--health-probe-addr=127.0.0.1:{self._health}",
                f"--webhook-port={self._webhooks}",
            ],
            logs / "kserve-manager.log",
            # It looks for the certificates below TMPDIR; no flag moves them.
            {"KUBECONFIG": str(kubeconfig), "TMPDIR": str(scratch), "POD_NAMESPACE": NAMESPACE},
        )

    async def start(self, api: Api, mode: str = "Standard") -> None:
        """CRDs and settings first (it exits without them), then the program, then its webhooks."""
        await manifests.namespace(api, NAMESPACE)
        await manifests.create_crds(api, await asyncio.to_thread(lambda: list(self._crds())))
        await manifests.apply_all(api, [self.settings(mode)])
        self.program.start()
        await self._ready()
        await manifests.apply_all(api, [*self._webhook_configurations(), *self._storage_containers()])

    async def restart(self) -> None:
        """It looks for Knative's kinds once, at its start."""
        self.program.kill()
        self.program.start()
        await self._ready()

    def settings(self, mode: str) -> Object:
        """The ConfigMap that KServe ships, with `mode` (Standard or Knative) the default and no ingress made."""
        (config,) = manifests.read(self._config / "configmap" / "inferenceservice.yaml")
        data = config["data"]
        del data["_example"]
        _change(data, "deploy", defaultDeploymentMode=mode)
        _change(data, "ingress", disableIngressCreation=True, disableIstioVirtualHost=True)
        _change(data, "storageInitializer", image=INITIALIZER)
        return config

    def _crds(self) -> Iterator[Object]:
        folder = self._config / "crd" / "full"
        files = sorted(folder.glob("serving.kserve.io_*.yaml"))
        yield from manifests.read(*files, *(folder / "clusterstoragecontainer").glob("serving.*.yaml"))

    def _storage_containers(self) -> Iterator[Object]:
        for one in manifests.read(self._config / "storagecontainers" / "default.yaml"):
            one["spec"]["container"]["image"] = INITIALIZER
            yield one

    def _webhook_configurations(self) -> Iterator[Object]:
        """As shipped, but called at this machine's port instead of through a Service."""
        authority = base64.b64encode(self._credentials.ca.read_bytes()).decode()
        for configuration in manifests.read(self._config / "webhook" / "manifests.yaml"):
            configuration["metadata"].pop("creationTimestamp", None)
            for webhook in configuration["webhooks"]:
                path = webhook["clientConfig"]["service"]["path"]
                url = f"https://127.0.0.1:{self._webhooks}{path}"
                webhook["clientConfig"] = {"url": url, "caBundle": authority}
            yield configuration

    def _lay_certificates(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        shutil.copy(self._credentials.certificate, folder / "tls.crt")
        shutil.copy(self._credentials.key, folder / "tls.key")

    async def _ready(self) -> None:
        async with asyncio.timeout(manifests.PATIENCE), httpx2.AsyncClient(trust_env=False) as http:
            while True:
                self.program.check()
                try:
                    if (await http.get(f"http://127.0.0.1:{self._health}/readyz")).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.05)


def _change(data: dict[str, str], key: str, **values: object) -> None:
    data[key] = json.dumps(json.loads(data[key]) | values)
