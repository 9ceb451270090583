"""A whole service in a thread of its own, so that the synchronous clients of a test can ask it."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import uvloop

from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

DEMO = Path(__file__).parents[2] / "examples/catalog/weights/demo/demo.gguf"

SLOW = ("slow_tokens:0.1", "tokens:1000")

SLOTS = {"active-llm": "demo", "vectors": "embedder", "slow": "slow"}


class Living:
    """The service: where it is, its token, and a way to do things on its event loop."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self.house, self.loop = house, loop
        self.url, self.token = house.service.url, house.service.token

    def do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def in_flight(self, slot: str) -> int:
        return self.house.parts.targets.in_flight(slot)


def write_models(folder: Path) -> None:
    """Two real models on the packaged engine, one that answers and one that embeds, and a scripted slow one."""
    write_runtimes(folder / "runtimes", [runtime("slow", *SLOW)])
    write_catalog(folder / "catalog", {"slow": "slow"})
    for name, more in (
        ("demo", {"aliases": ["gpt-4o-mini"]}),
        ("embedder", {"task": "embed", "pooling": "mean"}),
    ):
        weights = folder / "catalog/weights" / name
        weights.mkdir(parents=True)
        shutil.copyfile(DEMO, weights / "demo.gguf")
        entry = {
            "id": name, "runtime": "llama-cpp", "contextLength": 1024, "servedModelName": f"acme/{name}",
            "source": {"uri": f"file:weights/{name}"}, **more,
        }  # fmt: skip
        (folder / f"catalog/models/{name}.json").write_text(json.dumps(entry))


@contextmanager
def living(folder: Path) -> Iterator[Living]:
    """The service with each of SLOTS active."""
    write_models(folder)
    settings = house_settings(folder, slots=tuple(SLOTS)[1:], reads="token")
    opened: Future[Living] = Future()
    over = asyncio.Event()

    async def run() -> None:
        async with open_house(settings) as house:
            await asyncio.gather(*(house.active(model, slot) for slot, model in SLOTS.items()))
            opened.set_result(Living(house, asyncio.get_running_loop()))
            await over.wait()

    def main() -> None:
        try:
            uvloop.run(run())
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = Thread(target=main, daemon=True)
    thread.start()
    service = opened.result(60)
    try:
        yield service
    finally:
        service.loop.call_soon_threadsafe(over.set)
        thread.join()
