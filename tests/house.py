"""A whole service in a temporary folder, as `app.running` builds it, with models that behave as a test wants.

Every model of the test catalog is served by the scripted model server (`tests/model_server.py`), a real process: each
behaviour is a ServingRuntime of its own, as an operator would add one.
"""

import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_manager import app, commands
from model_manager.commands import Activation, Parts
from model_manager.relay import Relay
from model_manager.settings import Settings, load
from tests.waiting import until

PROGRAM = Path(__file__).with_name("model_server.py")


def runtime(name: str, *behaviours: str) -> dict[str, Any]:
    """A ServingRuntime that runs the scripted server with these behaviours."""
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 600}
    arguments = [f"--behaviour={behaviour}" for behaviour in behaviours]
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": name,
            "annotations": {
                "model-manager/engine": "llama-cpp",
                "model-manager/api-key-env": "ENGINE_API_KEY",
            },
        },
        "spec": {
            "supportedModelFormats": [{"name": "custom"}],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "scripted",
                    "command": [sys.executable, "-S", "-E", str(PROGRAM)],
                    "args": ["--host=0.0.0.0", "--port=8080", *arguments],
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": probe,
                    "startupProbe": probe,
                }
            ],
        },
    }


def write_catalog(folder: Path, models: dict[str, str], **more: dict[str, Any]) -> None:
    """A catalog folder with one entry per model, `{id: runtime}`, and a small file of weights for each."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name, runtime_name in models.items():
        weights = folder / "weights" / name
        weights.mkdir(parents=True, exist_ok=True)
        (weights / "model.bin").write_bytes(name.encode() * 100)
        entry = {
            "id": name,
            "runtime": runtime_name,
            "source": {"uri": f"file:weights/{name}"},
            **more.get(name, {}),
        }
        (folder / "models" / f"{name}.json").write_text(json.dumps(entry))


@dataclass
class House:
    """A running service with short verbs."""

    service: app.RunningService
    relay: Relay
    settings: Settings

    @property
    def parts(self) -> Parts:
        return self.service.parts

    async def call(self, method: str, path: str, payload: Any = None) -> tuple[int, Any]:
        """Ask the HTTP API with the token."""
        url = f"{self.service.url}{path}"
        return await self.relay.json(method, url, key=self.service.token, payload=payload, timeout=60)

    async def activate(self, model: str, slot: str | None = None) -> Activation:
        return await commands.activate(self.parts, model, slot=slot, actor="test")

    async def ended(self, activation: Activation, timeout: float = 30) -> Activation:
        found = await commands.wait_activation(self.parts, activation.id, timeout)
        assert found.result is not None, f"still {found.phase} after {timeout} s"
        return found

    async def active(self, model: str, slot: str | None = None) -> Activation:
        """Activate and wait until it serves."""
        found = await self.ended(await self.activate(model, slot))
        assert found.result == "active", f"{found.result}: {found.reason} {found.log_tail}"
        return found

    async def serving(self, slot: str | None = None) -> str | None:
        return (await commands.get_slot(self.parts, slot or self.parts.default_slot)).serving

    async def serves(self, model: str | None, slot: str | None = None, timeout: float = 20) -> None:
        """Wait until the slot serves exactly this model."""
        name = slot or self.parts.default_slot

        async def so() -> bool:
            found = await commands.get_slot(self.parts, name)
            observed = await self.parts.platform.observe(name)
            return found.serving == model and (model is not None or observed.empty)

        await until(so, timeout)

    async def chat(self, model: str = "active-llm") -> tuple[int, Any]:
        payload = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
        return await self.call("POST", "/v1/chat/completions", payload)


def house_settings(folder: Path, **changes: Any) -> Settings:
    """Quick and small: everything below `folder`, a free port, short waits."""
    environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    settings = load({"server_port": "0", "state_path": str(folder / "state")}, environ)
    quick: dict[str, Any] = {
        "catalog_root": folder / "catalog", "runtimes_path": folder / "runtimes", "disk_reserve": 0,
        "drain_timeout": 5.0, "stop_timeout": 1.0, "activation_timeout": 8.0, "reconcile_interval": 1.0,
        "shutdown_timeout": 10.0,
    }  # fmt: skip
    return settings.replace(**quick | changes)


def write_runtimes(folder: Path, documents: Iterable[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        (folder / f"{document['metadata']['name']}.yaml").write_text(json.dumps(document))


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    async with app.running(settings) as service:
        relay = Relay()
        try:
            await until(lambda: service.parts.catalog.status().ready)
            yield House(service, relay, settings)
        finally:
            await relay.aclose()
