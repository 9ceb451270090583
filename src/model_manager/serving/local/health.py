"""The kubelet's probes for a child process: when it may be used, and when it must be started again."""

import asyncio
from collections.abc import Callable

from model_manager.errors import ModelManagerError
from model_manager.relay import Relay
from model_manager.serving.local import procfs
from model_manager.serving.local.ports import HOST
from model_manager.serving.runtime import Container, Probe

FIRST_LOOK = 0.02
SLOWEST_LOOK = 0.1
"""Seconds between two looks at a server that starts. A kubelet looks every few seconds; here somebody waits."""


class Health:
    """Watches one start. `watch` never returns while all is well; what it returns is why the process must go."""

    def __init__(
        self, relay: Relay, container: Container, group: int, mark: str, on_ready: Callable[[bool], None]
    ) -> None:
        self._relay, self._container = relay, container
        self._group, self._mark = group, mark
        self._on_ready = on_ready

    async def watch(self) -> str:
        """Wait until it is up, then keep watching. A sentence: why it must be ended."""
        trouble = await self._until_up()
        if trouble:
            return trouble
        self._on_ready(True)
        keeping = asyncio.create_task(self._keep_ready())
        try:
            return await self._until_dead()
        finally:
            keeping.cancel()

    async def _until_up(self) -> str | None:
        startup = self._container.startup
        probe = startup or self._container.readiness
        pause = FIRST_LOOK
        try:
            async with asyncio.timeout(_seconds_to_start(startup)):
                while not await self._passes(probe):
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.3, SLOWEST_LOOK)
        except TimeoutError:
            assert startup
            return f"It did not become healthy within {_seconds_to_start(startup):g} s."
        # Whoever was faster to bind the port would get the prompts, and answer them as it likes.
        if not await asyncio.to_thread(procfs.listens_on, probe.port, self._group, self._mark):
            return f"Another program answers on port {probe.port}, which this model server was given."
        return None

    async def _keep_ready(self) -> None:
        probe, failures = self._container.readiness, 0
        while True:
            await asyncio.sleep(probe.period)
            failures = 0 if await self._passes(probe) else failures + 1
            if failures == 0 or failures == probe.failure_threshold:
                self._on_ready(failures == 0)

    async def _until_dead(self) -> str:
        probe, failures = self._container.liveness, 0
        while True:
            await asyncio.sleep(probe.period if probe else 3600)
            if probe is None:
                continue
            failures = 0 if await self._passes(probe) else failures + 1
            if failures >= probe.failure_threshold:
                return f"It stopped answering {probe.path or 'connections'} ({failures} probes failed)."

    async def _passes(self, probe: Probe) -> bool:
        try:
            async with asyncio.timeout(probe.timeout):
                return await (self._get(probe) if probe.path else _connects(probe.port))
        except (ModelManagerError, OSError, TimeoutError):
            return False

    async def _get(self, probe: Probe) -> bool:
        url = f"http://{HOST}:{probe.port}{probe.path}"
        async with await self._relay.request("GET", url, first_byte_timeout=probe.timeout) as response:
            await response.read(1 << 16)
            return 200 <= response.status < 400


def _seconds_to_start(startup: Probe | None) -> float | None:
    if startup is None:
        return None  # the slot's own deadline is the limit
    return startup.initial_delay + startup.period * startup.failure_threshold


async def _connects(port: int) -> bool:
    _, writer = await asyncio.open_connection(HOST, port)
    writer.close()
    return True
