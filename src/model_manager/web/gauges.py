"""What is read at the moment of a scrape: slots, jobs, catalog, disk, events.

Labels are slots and words of the code, so the number of series is bounded.
"""

import asyncio
import logging
from platform import python_version

from model_manager import commands
from model_manager.commands import Parts
from model_manager.errors import ModelManagerError
from model_manager.jobs.job import JobStatus
from model_manager.metrics import Gauge
from model_manager.weights.job import INSTALL

log = logging.getLogger(__name__)

_UNFINISHED: tuple[JobStatus, ...] = ("pending", "running")

_MOST = 1000
"""Unfinished jobs that are counted; who has more has other worries."""


async def read_gauges(parts: Parts) -> list[Gauge]:
    """All of them. What cannot be read is left out: a broken disk must not hide how the rest is doing."""
    found = [_build(parts)]
    for read in (_slots, _jobs, _catalog, _disk, _events):
        try:
            found += await read(parts)
        except (ModelManagerError, OSError) as error:
            log.warning("metrics of %s are left out: %s", read.__name__.removeprefix("_"), error)
    return found


def _build(parts: Parts) -> Gauge:
    labels = (parts.version, parts.platform.name, python_version())
    help_ = "What runs here; always 1."
    return Gauge("model_manager_build_info", help_, {labels: 1}, ("version", "platform", "python"))


async def _slots(parts: Parts) -> list[Gauge]:
    """`as_desired`: what serves is what was asked for last, or a slot that should be empty is."""
    states: dict[tuple[str, ...], float] = {}
    for slot in await commands.list_slots(parts):
        target = parts.targets.get(slot.name)
        wanted, serving = slot.desired and slot.desired.id, target and target.activation
        states[slot.name, "desired"] = wanted is not None
        states[slot.name, "serving"] = serving is not None
        states[slot.name, "as_desired"] = wanted == serving
        states[slot.name, "failed"] = slot.last_failure is not None
    about = "1 when true: a model is desired, one serves, it is the desired one, the newest attempt failed."
    return [
        Gauge("model_manager_slot", about, states, ("slot", "state")),
        Gauge(
            "model_manager_gateway_in_flight",
            "Requests that a model is answering.",
            {(name,): parts.targets.in_flight(name) for name in parts.slots}, ("slot",),
        ),
        Gauge(
            "model_manager_gateway_waiting",
            "Requests that wait for a switch to end.",
            {(name,): parts.targets.waiting(name) for name in parts.slots}, ("slot",),
        ),
    ]  # fmt: skip


async def _jobs(parts: Parts) -> list[Gauge]:
    unfinished: dict[tuple[str, ...], float] = {(INSTALL, "pending"): 0, (INSTALL, "running"): 0}
    for status in _UNFINISHED:
        for job in await parts.jobs.list(limit=_MOST, status=status):
            unfinished[job.kind, status] = unfinished.get((job.kind, status), 0) + 1
    return [Gauge("model_manager_jobs_unfinished", "Jobs that wait or run.", unfinished, ("kind", "status"))]


async def _catalog(parts: Parts) -> list[Gauge]:
    status = parts.catalog.status()
    return [
        Gauge("model_manager_catalog_age_seconds", "Since the source last confirmed what is served.",
              {(): status.age_seconds}),
        Gauge("model_manager_catalog_entries", "Models in the catalog.", {(): status.count}),
        Gauge("model_manager_catalog_problems", "Errors and warnings in its files.", {(): status.problems}),
        Gauge("model_manager_catalog_refresh_failing", "1 while the source cannot be read.",
              {(): status.error is not None}),
    ]  # fmt: skip


async def _disk(parts: Parts) -> list[Gauge]:
    usage = await asyncio.to_thread(parts.weights.usage)
    disk = {
        "total": ("Size of the weights' file system.", usage.total),
        "used": ("Bytes of the weights' file system that are taken, by whomever.", usage.used),
        "available": ("Bytes of the weights' file system that this user may still write.", usage.available),
        "reserve": ("Bytes of it that installs leave free.", parts.weights.reserve),
    }
    return [
        Gauge("model_manager_weights_used_bytes", "Bytes all installed weights take.", {(): usage.installed}),
        Gauge("model_manager_weights_folders", "Installed weights.", {(): usage.count}),
        *(Gauge(f"model_manager_disk_{name}_bytes", about, {(): size}) for name, (about, size) in disk.items()),
    ]  # fmt: skip


async def _events(parts: Parts) -> list[Gauge]:
    newest = await parts.events.page(limit=1, newest_first=True)
    last = newest[0].seq if newest else 0
    return [
        Gauge("model_manager_events", "Events of the history, as counted by their ids.", {(): last}, counter=True),
        Gauge("model_manager_event_subscribers", "Readers of the live feed.", {(): parts.events.subscribers}),
        Gauge("model_manager_http_connections", "Open connections to the service.", {(): parts.connections()}),
    ]  # fmt: skip
