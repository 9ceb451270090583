"""Knative Serving: CRDs, settings, webhook and controller. No autoscaler and no ingress: a ksvc stays Unknown."""

import asyncio
import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

from testcluster import manifests
from testcluster.api import Api, Object
from testcluster.credentials import Credentials
from testcluster.kubernetes import free_ports
from testcluster.process import Program

SERVING, NETWORKING, CACHING = "knative.dev/serving", "knative.dev/networking", "knative.dev/caching"
NAMESPACE = "knative-serving"
REGISTRIES = "ghcr.io,docker.io,index.docker.io,registry.k8s.io,test.invalid,dev.local"
"""Images from there are taken by name: otherwise the controller asks each registry for a digest."""

CHANGES: dict[str, dict[str, str]] = {
    "config-features": {
        "multi-container": "enabled",
        "kubernetes.podspec-persistent-volume-claim": "enabled",
        "kubernetes.podspec-persistent-volume-write": "enabled",
        "kubernetes.podspec-securitycontext": "enabled",
    },
    "config-deployment": {
        "queue-sidecar-image": "dev.local/queue:1",
        "registries-skipping-tag-resolving": REGISTRIES,
    },
    "config-observability": {
        "metrics-protocol": "none",
        "request-metrics-protocol": "none",
        "tracing-protocol": "none",
    },
}
"""Beside what is shipped. Without the three podspec flags no Service with a writable volume is admitted."""


class Knative:
    """Installed by `start`. `features` there replaces flags of `config-features`."""

    def __init__(
        self,
        programs: Path,
        sources: dict[str, Path],
        folder: Path,
        logs: Path,
        credentials: Credentials,
        url: str,
    ) -> None:
        self._config = sources[SERVING] / "config" / "core"
        self._sources = sources
        self._webhooks, profiling, more = free_ports(3)
        kubeconfig = credentials.kubeconfig("knative", url, credentials.tokens["knative"])
        common = {
            "KUBECONFIG": str(kubeconfig),
            "SYSTEM_NAMESPACE": NAMESPACE,
            "CONFIG_LOGGING_NAME": "config-logging",
            "CONFIG_OBSERVABILITY_NAME": "config-observability",
            "TMPDIR": str(folder),
        }
        webhook = {"POD_NAME": "webhook-1", "WEBHOOK_NAME": "webhook", "WEBHOOK_PORT": str(self._webhooks)}
        self.webhook = Program(
            "knative-webhook",
            [programs / "knative-webhook"],
            logs / "knative-webhook.log",
            common | webhook | {"PROFILING_PORT": str(profiling)},
        )
        self.controller = Program(
            "knative-controller",
            [programs / "knative-controller"],
            logs / "knative-controller.log",
            common | {"POD_NAME": "controller-1", "PROFILING_PORT": str(more)},
        )

    async def start(self, api: Api) -> None:
        """CRDs and settings, then both programs; returns once the webhooks answer."""
        await manifests.namespace(api, NAMESPACE)
        await manifests.create_crds(api, self._crds())
        await manifests.apply_all(api, [*self._settings(), self._service()])
        await manifests.apply_all(api, [*self._secrets(), *self._webhook_configurations()])
        self.webhook.start()
        self.controller.start()
        await self._answers(api)

    def _crds(self) -> Iterator[Object]:
        files = sorted((self._config / "300-resources").glob("*.yaml"))
        networking = self._sources[NETWORKING] / "config"
        names = ("certificate", "domain-claim", "ingress", "serverlessservice")
        files += [networking / f"{name}.yaml" for name in names]
        yield from manifests.read(*files, self._sources[CACHING] / "config" / "image.yaml")

    def _settings(self) -> Iterator[Object]:
        shipped = sorted((self._config / "configmaps").glob("*.yaml"))
        for one in manifests.read(*shipped, self._sources[NETWORKING] / "config" / "config-network.yaml"):
            # The checksum is the example's, which goes.
            one["metadata"].get("annotations", {}).pop("knative.dev/example-checksum", None)
            data = {key: value for key, value in (one.get("data") or {}).items() if key != "_example"}
            one["data"] = data | CHANGES.get(one["metadata"]["name"], {})
            yield one

    def _service(self) -> Object:
        """Its webhook must be named by a Service: this one's name leads to loopback."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "webhook", "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }

    def _secrets(self) -> Iterator[Object]:
        yield from manifests.read(self._config / "webhooks" / "secret.yaml")

    def _webhook_configurations(self) -> Iterator[Object]:
        names = ("configmap-validation", "defaulting", "resource-validation")
        for one in manifests.read(*(self._config / "webhooks" / f"{name}.yaml" for name in names)):
            for webhook in one["webhooks"]:
                webhook["clientConfig"]["service"]["port"] = self._webhooks
            yield one

    async def _answers(self, api: Api) -> None:
        """It makes its certificates itself, and writes their CA into the configurations when it is done."""
        name = "validation.webhook.serving.knative.dev"
        async with asyncio.timeout(manifests.PATIENCE):
            while True:
                self.webhook.check()
                found = await api.get("validatingwebhookconfigurations", name)
                authority = base64.b64decode(found["webhooks"][0]["clientConfig"].get("caBundle", ""))
                if len(authority) > 10 and await self._listens():
                    return
                await asyncio.sleep(0.1)

    async def _listens(self) -> bool:
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._webhooks, ssl=anyone)
        except OSError:
            return False
        writer.close()
        return True
