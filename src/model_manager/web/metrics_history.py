"""`/metrics/history`: the last hours in columns, and the task that samples them."""

import asyncio
import time
from pathlib import Path
from resource import getpagesize
from typing import Annotated

from msgspec import Meta, Struct

from model_manager import commands
from model_manager.commands import Parts
from model_manager.http.routing import Route
from model_manager.metrics import KEEP_SECONDS, SAMPLE_SECONDS, Levels, Sample


class HistoryQuery(Struct):
    """`since`: only samples after that many seconds since the epoch. `step`: one for each so many seconds."""

    since: Annotated[float, Meta(ge=0)] = 0
    step: Annotated[int, Meta(ge=SAMPLE_SECONDS, le=KEEP_SECONDS)] = SAMPLE_SECONDS


class MetricsHistory(Struct, rename="camel"):
    """Columns of one length, oldest first: `time` in seconds since the epoch, rates a second, sizes in bytes.

    Quantiles are null where no model was asked. `slots` has each slot's state.
    """

    step: int
    time: list[float]
    requests_per_second: list[float]
    errors_per_second: list[float]
    gateway_requests_per_second: list[float]
    gateway_tokens_per_second: list[float]
    gateway_p50_seconds: list[float | None]
    gateway_p95_seconds: list[float | None]
    in_flight: list[float]
    jobs_running: list[float]
    weights_bytes: list[float]
    disk_available_bytes: list[float]
    memory_bytes: list[float]
    slots: dict[str, list[str]]


async def metrics_history(parts: Parts, query: HistoryQuery) -> MetricsHistory:
    """The last six hours, a sample each half minute: kept in memory, so a restart begins anew."""
    samples = parts.samples.samples(query.since, query.step)
    columns = {
        name: [getattr(sample, name) for sample in samples]
        for name in Sample.__struct_fields__
        if name != "slots"
    }
    slots = {name: [sample.slots[number] for sample in samples] for number, name in enumerate(parts.slots)}
    return MetricsHistory(step=query.step, slots=slots, **columns)


async def keep_history(parts: Parts) -> None:
    """Sample for ever."""
    while True:
        await take_sample(parts)
        await asyncio.sleep(SAMPLE_SECONDS)


async def take_sample(parts: Parts) -> None:
    """Look once, and keep it."""
    usage = await asyncio.to_thread(parts.weights.usage)
    running = await parts.jobs.list(status="running")
    slots = await commands.list_slots(parts)
    levels = Levels(
        in_flight=sum(slot.in_flight for slot in slots),
        jobs_running=len(running),
        weights_bytes=usage.installed,
        disk_available_bytes=usage.available,
        memory_bytes=_resident(),
    )
    parts.samples.add(parts.metrics, levels, tuple(slot.state for slot in slots), time.time())


def _resident() -> int:
    """Bytes of memory that this process takes; 0 where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()
    except OSError:
        return 0


ROUTES = (Route("GET", "/metrics/history", metrics_history),)
