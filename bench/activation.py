"""What the service adds to a model's own load time when it is activated.

    python -m bench.activation [--rounds 11]

A whole service in this process, with the starter catalog and the real engine as its child: `demo` and `demo-pirate` in
turn, their weights installed before. Beside the service, a thread asks the child's /health every 5 ms. So there are
three moments: the engine answers /health with 200; the platform shows its instance ready (`on_change`); the event
`activation_active` was committed. Between two activations the same engine is started alone with the same model, and
asked in the same way: the reference.
"""

import argparse
import asyncio
import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from tests.house import House, house_settings, open_house

from bench.figures import Figure, figure, report
from bench.start import free_port
from model_manager import commands
from model_manager.events import Event
from model_manager.serving.platform import Instance

CATALOG = Path(__file__).parents[1] / "examples/catalog"
MODELS = ("demo", "demo-pirate")
EVERY = 0.005
DEADLINE = 60.0


def healthy_at(host: str, port: int) -> float:
    """The moment at which /health first answered 200. Runs in a thread of its own."""
    give_up = time.perf_counter() + DEADLINE
    while time.perf_counter() < give_up:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return time.perf_counter()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(EVERY)
    raise SystemExit(f"nothing healthy at port {port} within {DEADLINE:g} s")


def alone(model: str) -> float:
    """Milliseconds from exec to the engine's first healthy answer, without the service."""
    port = free_port()
    command = [
        sys.executable, "-m", "model_manager.engines.llama_cpp", "--model", str(CATALOG / "weights" / model),
        "--alias", model, "--port", str(port), "--ctx-size", "1024",
    ]  # fmt: skip
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return (healthy_at("127.0.0.1", port) - begun) * 1000
    finally:
        process.kill()
        process.wait()


class Moments:
    """When the things of one activation happened (`time.perf_counter`)."""

    def __init__(self, house: House, model: str) -> None:
        self.house, self.model = house, model
        self.id = ""
        self.exec = self.ready = self.healthy = self.active = 0.0

    async def follow(self) -> None:
        house = self.house
        async with house.parts.events.subscribe() as feed:
            self.id = (await house.activate(self.model)).id
            started = await self._instance(lambda one: one.pid is not None and one.url is not None)
            self.exec = time.perf_counter()
            address = urlsplit(started.url or "")
            asking = asyncio.create_task(
                asyncio.to_thread(healthy_at, address.hostname or "", address.port or 0)
            )
            ready = asyncio.create_task(self._instance(lambda one: one.ready))
            ready.add_done_callback(lambda _: setattr(self, "ready", time.perf_counter()))
            async for item in feed:
                if isinstance(item, Event) and item.kind.startswith("activation_"):
                    if item.kind in ("activation_failed", "activation_restored"):
                        raise SystemExit(f"the activation failed: {item.data}")
                    if item.kind == "activation_active":
                        break
            self.active = time.perf_counter()
            self.healthy = await asking
            await ready

    async def _instance(self, wanted: Callable[[Instance], bool]) -> Instance:
        """Our instance once it is as wanted, noticed with the platform's next word."""
        changed = asyncio.Event()
        self.house.parts.platform.on_change(lambda _: changed.set())
        while True:
            changed.clear()
            observed = await self.house.parts.platform.observe(self.house.parts.default_slot)
            for instance in observed.instances:
                if instance.activation == self.id and wanted(instance):
                    return instance
            await asyncio.wait_for(changed.wait(), DEADLINE)


async def measure(folder: Path, rounds: int) -> list[Figure]:
    settings = house_settings(
        folder, catalog_root=CATALOG, runtimes_path=None, activation_timeout=DEADLINE, reconcile_interval=5.0
    )
    found: list[Moments] = []
    references: list[float] = []
    async with open_house(settings) as house:
        for model in MODELS:  # installs the weights, and warms everything
            await commands.wait_activation(house.parts, (await house.activate(model)).id, DEADLINE)
        for number in range(rounds):
            moments = Moments(house, MODELS[number % 2])
            await moments.follow()
            found.append(moments)
            references.append(await asyncio.to_thread(alone, MODELS[number % 2]))
    return figures(found, references)


def figures(found: list[Moments], load: list[float]) -> list[Figure]:
    def spans(start: str, end: str) -> list[float]:
        return [(getattr(one, end) - getattr(one, start)) * 1000 for one in found]

    name = "the engine's own load, exec to /health 200"
    return [
        figure("engine answers /health to slot active", "ms", spans("healthy", "active"), load, of="median",
               reference_name=name, goal=150),
        figure("instance ready to slot active", "ms", spans("ready", "active"), load, of="median",
               reference_name=name, goal=150),
        figure("engine answers /health to instance ready", "ms", spans("healthy", "ready"), load, of="median",
               reference_name=name),
        figure("process started to slot active", "ms", spans("exec", "active"), load, reference_name=name),
    ]  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--rounds", type=int, default=11)
    options = flags.parse_args()
    with tempfile.TemporaryDirectory() as place:
        report(uvloop.run(measure(Path(place), options.rounds)))


if __name__ == "__main__":
    main()
