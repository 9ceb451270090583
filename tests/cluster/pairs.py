"""`python -m tests.cluster.pairs`: record what the real KServe makes of an InferenceService and its ServingRuntime.

A pair is a manifest as this service renders them and the runtime that it names; each file of
tests/serving/kserve/recorded/pairs/ holds one, with the Deployment that KServe's controller made of it and the pod that
its webhook would admit. `serving/runtime` has to come to the same container (tests/serving/kserve/test_pairs.py).
"""

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

from testcluster import Namespace
from testcluster.api import Object
from testcluster.cluster import cluster, say

from tests.serving.entries import RUNTIMES

RENDERED = Path(__file__).parents[1] / "serving" / "golden"
FOLDER = Path(__file__).parents[1] / "serving" / "kserve" / "recorded" / "pairs"
NAMESPACE = "models"
"""Stands in the files for whatever the namespace of a recording was called."""

POD_LABEL = "serving.kserve.io/inferenceservice"


def of_original() -> Object:
    """The original's own runtime: a script, which has to pass on the arguments of the entry."""
    script = 'exec python3 -m vllm.entrypoints.openai.api_server --model "$MODEL_PATH" "$@"'
    return _runtime(
        "vllm-runtime",
        {
            "image": "rocm/vllm-dev:nightly",
            "command": ["/bin/sh", "-c"],
            "args": [script, "vllm"],
            "env": [
                {"name": "MODEL_PATH", "value": "/mnt/models"},
                {"name": "HF_HOME", "value": "/tmp/huggingface"},
            ],
            "ports": [{"containerPort": 8080, "name": "http1", "protocol": "TCP"}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": "http1"}, "periodSeconds": 5},
            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
        },
        volumes=[{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}],
    )


def with_everything() -> tuple[Object, Object]:
    """Both sides say something about the same fields, wherever they can."""
    runtime = _runtime(
        "everything",
        {
            "image": "test.invalid/server:1",
            "command": ["serve", "$(FROM_RUNTIME)"],
            "args": [
                "--name={{.Name}}",
                "--in={{ .Namespace }}",
                "--team={{.Labels.team}}",
                "--cache=$(CACHE)",
            ],
            "env": [
                {"name": "FROM_RUNTIME", "value": "one"},
                {"name": "CACHE", "value": "/cache/{{.Name}}"},
                {"name": "BOTH", "value": "runtime"},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "t", "optional": True}}},
            ],
            "envFrom": [{"configMapRef": {"name": "more"}}],
            "ports": [
                {"containerPort": 9000, "name": "h2c", "protocol": "TCP"},
                {"containerPort": 9001, "name": "metrics", "protocol": "TCP"},
            ],
            "startupProbe": {"tcpSocket": {"port": 9001}, "initialDelaySeconds": 3, "failureThreshold": 60},
            "livenessProbe": {"httpGet": {"path": "/live", "port": "h2c"}, "timeoutSeconds": 4},
            "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "4Gi"}},
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
            "workingDir": "/srv",
        },
        nodeSelector={"zone": "a", "disk": "ssd"},
        tolerations=[{"key": "of-the-runtime", "operator": "Exists"}],
        imagePullSecrets=[{"name": "registry"}],
        volumes=[{"name": "cache", "emptyDir": {}}],
    )
    sidecar = {"name": "exporter", "image": "test.invalid/exporter:1"}
    runtime["spec"]["containers"].append(sidecar)
    manifest = _bare("everything", "pvc://weights/sub/folder")
    manifest["metadata"]["labels"]["team"] = "a"
    manifest["metadata"]["annotations"]["storage.kserve.io/readonly"] = "false"
    manifest["spec"]["predictor"] |= {
        "nodeSelector": {"zone": "b"},
        "tolerations": [{"key": "of-the-entry", "operator": "Exists"}],
        "volumes": [{"name": "extra", "configMap": {"name": "templates"}}],
    }
    manifest["spec"]["predictor"]["model"] |= {
        "args": ["--both=$(BOTH)", "--not=$$(BOTH)", "--late=$(AFTER)"],
        "env": [
            {"name": "BOTH", "value": "entry"},
            {"name": "AFTER", "value": "$(BOTH)-$(FROM_RUNTIME)"},
            {"name": "ZERO", "value": ""},
        ],
        "resources": {"requests": {"memory": "3Gi"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": "1"}},
        "volumeMounts": [{"name": "extra", "mountPath": "/templates", "readOnly": True}],
    }
    return manifest, runtime


def with_nothing() -> tuple[Object, Object]:
    """No port and no probe: KServe's own defaults."""
    return _bare("nothing", "pvc://weights"), _runtime("nothing", {"image": "test.invalid/server:1"})


def pairs() -> dict[str, tuple[Object, Object]]:
    """By name: every manifest that the renderer's golden files hold, and two made for what those do not say."""
    runtimes: dict[str, Object] = {**RUNTIMES, "vllm-runtime": of_original()}
    found = {"with-everything": with_everything(), "with-nothing": with_nothing()}
    for file in sorted(RENDERED.glob("*.json")):
        manifest = json.loads(file.read_text())["manifest"]
        found[file.stem] = manifest, runtimes[manifest["spec"]["predictor"]["model"]["runtime"]]
    return found


def _runtime(name: str, container: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": "custom", "version": "1"}],
            "containers": [{"name": "kserve-container", **container}],
            **spec,
        },
    }  # fmt: skip


def _bare(runtime: str, uri: str) -> Object:
    manifest = json.loads((RENDERED / "demo.json").read_text())["manifest"]
    predictor = manifest["spec"]["predictor"]
    predictor["model"] = {"modelFormat": {"name": "custom"}, "runtime": runtime, "storageUri": uri}
    return dict(manifest)


# What the cluster makes of them


async def record(namespace: Namespace) -> dict[str, Object]:
    """Every pair with what became of it, as the files hold it."""
    wanted = pairs()
    for runtime in {one["metadata"]["name"]: one for _, one in wanted.values()}.values():
        await namespace.apply(runtime)
    made = await asyncio.gather(*(_made(namespace, name, manifest) for name, (manifest, _) in wanted.items()))
    found = {
        name: {"manifest": manifest, "runtime": wanted[name][1], "deployment": deployment, "pod": pod}
        for name, (manifest, deployment, pod) in zip(wanted, made, strict=True)
    }
    return dict(json.loads(json.dumps(found).replace(namespace.name, NAMESPACE)))


async def _made(namespace: Namespace, name: str, manifest: Object) -> tuple[Object, Object, Object]:
    """Under a name of its own, and without pods: there is one GPU for all."""
    body = copy.deepcopy(manifest)
    body["metadata"] |= {"name": name.replace(".", "-"), "namespace": namespace.name}
    await namespace.apply({**body, "spec": {"predictor": {**body["spec"]["predictor"], "minReplicas": 0}}})
    deployment = await namespace.wait(
        lambda: namespace.api.find("deployments", f"{body['metadata']['name']}-predictor", namespace.name)
    )
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "pod"}
    where = f"/api/v1/namespaces/{namespace.name}/pods"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    admitted = await namespace.api.ask("POST", where, pod, query={"dryRun": "All"})
    return body, {"strategy": deployment["spec"]["strategy"], "template": template}, _slim(admitted["spec"])


def _slim(spec: Object) -> Object:
    """Without what every pod gets: its account's token, and defaults of pods that have no default here."""
    token = {one["name"] for one in spec.get("volumes", ()) if one["name"].startswith("kube-api-access-")}
    spec["volumes"] = [one for one in spec.get("volumes", ()) if one["name"] not in token]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        mounts = [one for one in container.get("volumeMounts", ()) if one["name"] not in token]
        container["volumeMounts"] = mounts
    kept = (
        "initContainers",
        "containers",
        "volumes",
        "nodeSelector",
        "tolerations",
        "affinity",
        "imagePullSecrets",
    )
    return {key: spec[key] for key in kept if key in spec}


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    async with cluster() as made, made.namespace("pairs") as namespace:
        found = await record(namespace)
    for name, pair in found.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(pair, indent=1) + "\n")
    say(f"{len(found)} pairs recorded in {FOLDER}")


if __name__ == "__main__":
    asyncio.run(main())
