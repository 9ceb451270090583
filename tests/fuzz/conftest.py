"""A whole service in a thread of its own: the fuzzer asks it over real HTTP, and waits for each answer."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

RUNTIMES = {"demo": "well", "broken": "exits", "slow": "late"}
MODELS = tuple(RUNTIMES)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("fuzzed")
    write_catalog(folder / "catalog", RUNTIMES)
    (folder / "catalog" / "models" / "bad.json").write_text('{"id": "bad",\n "vllm": 3}')
    write_runtimes(
        folder / "runtimes", [runtime("well"), runtime("exits", "exit:3"), runtime("late", "late:60")]
    )
    found: list[House] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with open_house(
            house_settings(folder, slots=("second",), webhook_secret="fuzzed", reads="token", switch_wait=0.2)
        ) as house:
            found.append(house)
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(30)
    assert found, "the service did not start"
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
