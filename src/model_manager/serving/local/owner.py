"""The one task that owns what runs under a slot's name. Others say what they want; it alone starts and stops.

wanted ──► end leftovers ──► start ──► healthy … ended ──► back off ──► start … give up
               ▲                          │ something else (or nothing) is wanted
               └── stop, until all is gone ┘
"""

import asyncio
import contextlib
import logging
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, structs

from model_manager.errors import ModelManagerError
from model_manager.relay import Relay
from model_manager.serving.local import leftovers, ports
from model_manager.serving.local.health import Health
from model_manager.serving.local.log_file import LogFile
from model_manager.serving.local.log_pipe import LogPipe
from model_manager.serving.local.log_ring import LogRing
from model_manager.serving.local.plan import Plan
from model_manager.serving.local.process import Process, new_mark
from model_manager.serving.platform import Instance, Observed

logger = logging.getLogger(__name__)

LOG_TAIL = 200
"""Lines of output that `observe` shows."""

STUCK_AFTER = 5.0
"""Seconds after the kill until it is said that the kernel does not let a process go."""


class Supervision(Struct, frozen=True):
    """How patiently processes are kept. Times in seconds."""

    stop_grace: float = 10.0
    first_backoff: float = 1.0
    longest_backoff: float = 60.0
    max_crashes: int = 5
    """Ends in a row after which it is not started again."""

    stable_after: float = 60.0
    """A process that was ready for so long had a good start: its end is the first of a new row."""

    def backoff(self, crashes: int) -> float:
        """The wait after so many ends in a row: doubled each time."""
        return min(self.first_backoff * 2.0 ** (crashes - 1), self.longest_backoff)


class Surroundings(Struct, frozen=True):
    """What all owners of a platform share."""

    folder: Path
    inherited: Mapping[str, str]
    relay: Relay
    supervision: Supervision
    free_port: Callable[[], int] = ports.free_port


class End(Struct, frozen=True):
    """How one start ended."""

    reason: str = ""
    exit_code: int | None = None
    was_stable: bool = False
    """It had been ready for long."""
    is_final: bool = False
    """Another try would end the same way."""


class Owner:
    """Belongs to one event loop. `want`, `observed` and `tail` return at once."""

    def __init__(self, slot: str, around: Surroundings, on_change: Callable[[str], None]) -> None:
        self.slot = slot
        self._around, self._keep = around, around.supervision
        self._on_change = on_change
        self._record = around.folder / "run" / f"{slot}.json"
        self._log_file = LogFile(around.folder / "logs" / f"{slot}.log")
        self._ring = LogRing()
        self._wanted: Plan | None = None
        self._instance: Instance | None = None
        self._news = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"owner of {slot}")

    def want(self, plan: Plan | None) -> None:
        """From now on this is to run (None: nothing). The same manifest again changes nothing."""
        if self._closing or _manifest(plan) == _manifest(self._wanted):
            return
        self._wanted = plan
        self._news.set()
        self._on_change(self.slot)

    def observed(self) -> Observed:
        wanted, instance = self._wanted, self._instance
        if instance:
            instance = structs.replace(instance, log_tail=self.tail(LOG_TAIL))
        return Observed(wanted.activation if wanted else None, (instance,) if instance else ())

    def tail(self, lines: int) -> tuple[str, ...]:
        return self._ring.tail(lines)

    async def aclose(self) -> None:
        """Stop what runs, and end. Takes longer than the grace period only while the kernel keeps a process."""
        self.want(None)
        self._closing = True
        self._news.set()
        await self._task

    # -- the task ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                if self._wanted is not None:
                    await self._serve(self._wanted)
                elif self._closing:
                    break
                else:
                    await self._news.wait()
            except Exception:
                logger.exception("slot %s: its processes could not be looked after", self.slot)
                await self._wait(self._keep.first_backoff)
        await self._log_file.aclose()

    async def _serve(self, plan: Plan) -> None:
        """Keep this plan running until something else is wanted."""
        self._ring = LogRing()
        self._show(Instance(name=self.slot, activation=plan.activation, state="starting"))
        crashes = restarts = 0
        while self._wanted is plan:
            end = await self._one_start(plan)
            if self._wanted is not plan:
                break
            crashes = 1 if end.was_stable else crashes + 1
            restarts += 1
            self._update(
                state="exited", ready=False, pid=None, url=None, key=None,
                restarts=restarts, exit_code=end.exit_code, **self._verdict(end, crashes),
            )  # fmt: skip
            if end.is_final or crashes >= self._keep.max_crashes:
                await self._news.wait()
            else:
                await self._wait(self._keep.backoff(crashes))
        self._show(None)

    async def _one_start(self, plan: Plan) -> End:
        """One process, from its start until all of it is gone."""
        key = secrets.token_urlsafe(24)
        output = LogPipe(self._take_lines, [key])
        try:
            started = await self._fork(plan, key, output)
            return await self._attend(plan, started) if started else End()
        except ModelManagerError as error:
            return End(error.sentence, is_final=error.status < 500)
        except OSError as error:
            return End(f"The model server cannot be started: {error.strerror}.")
        finally:
            output.close()

    async def _fork(self, plan: Plan, key: str, output: LogPipe) -> "_Started | None":
        """None: something else is wanted meanwhile."""
        await self._end_leftovers()
        if self._wanted is not plan:
            return None
        port = self._around.free_port()
        command = plan.command(port, key, self._around.inherited)
        mark, folder = new_mark(), self._record.parent
        await asyncio.to_thread(leftovers.remember, self._record, mark)
        process = Process.start(command.argv, command.environment, folder, mark, output.writer)
        output.close_writer()
        self._update(
            state="running", name=f"{self.slot}-{process.pid}", pid=process.pid,
            url=f"http://{ports.HOST}:{port}", key=key if plan.container.api_key_env else None,
        )  # fmt: skip
        return _Started(process, port)

    async def _attend(self, plan: Plan, started: "_Started") -> End:
        process, ready_at = started.process, [0.0]

        def on_ready(ready: bool) -> None:
            ready_at[0] = time.monotonic() if ready else 0.0
            self._update(ready=ready)

        health = Health(self._around.relay, plan.at(started.port), process.pid, process.mark, on_ready)
        watching = asyncio.create_task(health.watch())
        try:
            await asyncio.to_thread(leftovers.remember, self._record, process.mark, process.pid)
            await _first_of(watching, process.ended, self._news)
        finally:
            was_stable = bool(ready_at[0]) and time.monotonic() - ready_at[0] >= self._keep.stable_after
            trouble = watching.result() if watching.done() and not watching.cancelled() else ""
            watching.cancel()
            await self._stop(process, trouble)
        return End(trouble or _how_it_ended(process.exit_code), process.exit_code, was_stable)

    async def _stop(self, process: Process, reason: str) -> None:
        """Return when nothing of it is left; only then is its port free, and its memory."""
        if process.ended.is_set():  # what it forked gets no grace, as in a container whose first process ends
            stopping = asyncio.create_task(process.aclose())
        else:
            self._update(state="stopping", ready=False, **({"reason": reason} if reason else {}))
            stopping = asyncio.create_task(process.stop(self._keep.stop_grace))
        await asyncio.wait({stopping}, timeout=self._keep.stop_grace + STUCK_AFTER)
        if not stopping.done():
            self._update(reason="It does not end, even when killed: a device driver holds it.")
        await stopping
        await asyncio.to_thread(leftovers.forget, self._record)

    async def _end_leftovers(self) -> None:
        ended = await leftovers.end(self._record)
        if ended:
            logger.warning("slot %s: %s", self.slot, ended)

    # -- small things -----------------------------------------------------------------------------

    def _show(self, instance: Instance | None) -> None:
        if instance != self._instance:
            self._instance = instance
            self._on_change(self.slot)

    def _update(self, **changes: Any) -> None:
        if self._instance:
            self._show(structs.replace(self._instance, **changes))

    def _take_lines(self, lines: list[str]) -> None:
        self._ring.extend(lines)
        self._log_file.write(lines)

    def _verdict(self, end: End, crashes: int) -> dict[str, Any]:
        if end.is_final:
            return {"gave_up": True, "reason": end.reason}
        if crashes >= self._keep.max_crashes:
            return {
                "gave_up": True,
                "reason": f"{end.reason} It was started {crashes} times, each time in vain.",
            }
        return {"reason": end.reason}

    async def _wait(self, seconds: float) -> None:
        """Wait, but not when something else is wanted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()


class _Started(NamedTuple):
    process: Process
    port: int


async def _first_of(task: "asyncio.Task[str]", *events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait([task, *waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"The model server ended with exit code {exit_code}."
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"The model server was ended by {name}."


def _manifest(plan: Plan | None) -> Any:
    return plan.manifest if plan else None
