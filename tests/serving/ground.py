"""Where platform tests stand: manifests of scripted model servers, and a local platform that runs them."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from model_manager.relay import Relay
from model_manager.serving.local.owner import Supervision
from model_manager.serving.local.platform import LocalPlatform
from model_manager.serving.platform import ACTIVATION_LABEL, Instance, Manifest, Observed, Platform
from tests.waiting import until

SERVER = Path(__file__).parent.parent / "model_server.py"
SLOT = "active-llm"

QUICK = Supervision(stop_grace=0.5, first_backoff=0.01, longest_backoff=0.05, max_crashes=3)

RUNTIME: dict[str, Any] = {
    "metadata": {
        "name": "scripted",
        "annotations": {"model-manager/engine": "llama-cpp", "model-manager/api-key-env": "ENGINE_API_KEY"},
    },
    "spec": {
        "supportedModelFormats": [{"name": "gguf"}],
        "containers": [
            {
                "name": "kserve-container",
                "command": [sys.executable, "-S", "-E", str(SERVER)],
                "args": ["--port=8080", "--alias=scripted"],
                "ports": [{"containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
            }
        ],
    },
}


def runtime(name: str, *behaviours: str, **container: Any) -> dict[str, Any]:
    """A ServingRuntime whose server behaves so; `container` replaces fields of its container."""
    base = RUNTIME["spec"]["containers"][0]
    args = [*base["args"], *(f"--behaviour={behaviour}" for behaviour in behaviours)]
    return {
        "metadata": {**RUNTIME["metadata"], "name": name},
        "spec": {**RUNTIME["spec"], "containers": [{**base, "args": args, **container}]},
    }


def manifest(runtime_name: str = "well", activation: str = "first", slot: str = SLOT) -> Manifest:
    labels = {ACTIVATION_LABEL: activation}
    model = {
        "runtime": runtime_name,
        "modelFormat": {"name": "gguf"},
        "storageUri": "pvc://some-claim/scripted-model",
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": slot, "namespace": "default", "labels": labels,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {"predictor": {"labels": labels, "deploymentStrategy": {"type": "Recreate"}, "model": model}},
    }  # fmt: skip


RUNTIMES = {
    "well": runtime("well"),
    "never-ready": runtime("never-ready", "never_ready"),
    "crashes": runtime("crashes", "exit:137"),
    "late": runtime("late", "late:0.3"),
    "slow-to-stop": runtime("slow-to-stop", "slow_term:0.3"),
}
"""The behaviours that every platform's contract asks for."""


@asynccontextmanager
async def local_platform(
    root: Path, runtimes: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[LocalPlatform]:
    """A local platform with its own state folder; stops everything at the end."""
    weights = root / "weights"
    (weights / "scripted-model").mkdir(parents=True, exist_ok=True)
    relay = Relay()
    settings.setdefault("supervision", QUICK)
    platform = LocalPlatform(
        root=root / "state",
        weights=weights.joinpath,
        runtimes={**RUNTIMES, **(runtimes or {})},
        relay=relay,
        **settings,
    )
    try:
        yield platform
    finally:
        await platform.aclose()
        await relay.aclose()


PATIENCE = 40.0
"""Seconds. The garbage collector of a new cluster finds out about KServe's kinds only every 30 s."""


async def observed_when(
    platform: Platform, check: Callable[[Observed], Any], slot: str = SLOT, timeout: float = PATIENCE
) -> Observed:
    """What the platform says of a slot as soon as `check` is content with it."""
    seen = Observed()

    async def look() -> bool:
        nonlocal seen
        seen = await platform.observe(slot)
        return bool(check(seen))

    try:
        await until(look, timeout)
    except AssertionError:
        raise AssertionError(f"not so within {timeout} s; last seen: {seen}") from None
    return seen


async def instance_when(
    platform: Platform, check: Callable[[Instance], Any], slot: str = SLOT, timeout: float = PATIENCE
) -> Instance:
    """The slot's first instance as soon as `check` is content with it."""
    seen = await observed_when(
        platform, lambda seen: seen.instances and check(seen.instances[0]), slot, timeout
    )
    return seen.instances[0]


async def ready(platform: Platform, slot: str = SLOT) -> Instance:
    return await instance_when(platform, lambda instance: instance.ready, slot)


async def empty(platform: Platform, slot: str = SLOT) -> None:
    await observed_when(platform, lambda seen: seen.empty, slot)
