"""Objects that the cluster tests apply, and how they look at what becomes of them."""

import shutil
from pathlib import Path
from typing import Any

import httpx2
import yaml
from testcluster import Namespace
from testcluster.api import Object

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "src" / "model_manager" / "serving" / "runtimes" / "llama-cpp.yaml"
WEIGHTS = ROOT / "examples" / "catalog" / "weights"
SLOT = "active-llm"
LABEL = "model-manager/activation"


async def demo_ground(namespace: Namespace) -> None:
    """The product's own llama.cpp runtime, and a claim with the two demo models."""
    folder = await namespace.claim()
    for model in ("demo", "demo-pirate"):
        shutil.copytree(WEIGHTS / model, folder / model)
    await namespace.apply(yaml.safe_load(RUNTIME.read_text()))


def isvc(
    activation: str = "a1",
    uri: str = "pvc://weights/demo",
    gpus: int = 1,
    args: tuple[str, ...] = (),
    **predictor: Any,
) -> Object:
    """An InferenceService as the product makes them."""
    resources = {"nvidia.com/gpu": str(gpus)}
    model = {
        "modelFormat": {"name": "gguf"},
        "runtime": "llama-cpp",
        "storageUri": uri,
        "args": ["--alias=demo", *args],
        "resources": {"requests": resources, "limits": resources},
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": SLOT,
            "labels": {"app.kubernetes.io/managed-by": "model-manager", LABEL: activation},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 1,
                "deploymentStrategy": {"type": "Recreate"},
                "labels": {LABEL: activation},
                "model": model,
                **predictor,
            }
        },
    }


async def start(namespace: Namespace, body: Object | None = None) -> Object:
    """Apply it and wait for its Ready pod: that pod."""
    body = body or isvc()
    await namespace.apply(body)
    activation = body["metadata"]["labels"][LABEL]
    found: Object = await pod_when(namespace, lambda pod: activation_of(pod) == activation and is_ready(pod))
    return found


async def pod_when(namespace: Namespace, check: Any, within: float = 60.0) -> Object:
    """The first pod for which `check(pod)` holds."""

    async def look() -> Object | None:
        return next((pod for pod in await namespace.pods() if check(pod)), None)

    found: Object = await namespace.wait(look, within)
    return found


async def isvc_when(namespace: Namespace, check: Any, within: float = 60.0) -> Object:
    async def look() -> Object | None:
        found = await namespace.isvc(SLOT)
        return found if found and check(found) else None

    found: Object = await namespace.wait(look, within)
    return found


async def events_when(namespace: Namespace, *reasons: str) -> list[Object]:
    """The pods' events, once there is one of each reason."""

    async def look() -> list[Object] | None:
        found = [one for one in await namespace.events() if one["involvedObject"]["kind"] == "Pod"]
        return found if set(reasons) <= {one["reason"] for one in found} else None

    found: list[Object] = await namespace.wait(look)
    return found


async def chat(pod: Object, text: str = "hello") -> str:
    """The answer of the model in `pod`, asked at the pod's own address."""
    ask = {"messages": [{"role": "user", "content": text}], "max_tokens": 60, "temperature": 0}
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as http:
        answer = await http.post(f"http://{pod['status']['podIP']}:8080/v1/chat/completions", json=ask)
        content: str = answer.raise_for_status().json()["choices"][0]["message"]["content"]
        return content


def activation_of(pod: Object) -> str:
    return str(pod["metadata"]["labels"].get(LABEL, ""))


def condition(body: Object, kind: str) -> Object:
    conditions = body.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def is_ready(body: Object) -> bool:
    return condition(body, "Ready").get("status") == "True" and "deletionTimestamp" not in body["metadata"]


def waiting(pod: Object, kind: str = "containerStatuses") -> str:
    """Why its container waits: `ImagePullBackOff`, `CrashLoopBackOff`, …"""
    statuses = pod.get("status", {}).get(kind) or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))


def last_end(pod: Object, kind: str = "containerStatuses") -> Object:
    """How its container ended the last time: exitCode, reason, message."""
    statuses = pod.get("status", {}).get(kind) or [{}]
    return dict(statuses[0].get("lastState", {}).get("terminated") or {})
