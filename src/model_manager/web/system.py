"""`/system/info`: what runs here, with what, and what happened lately."""

import sqlite3
from typing import Any

from msgspec import Struct

from model_manager.commands import Parts
from model_manager.commands.parts import HeldLease
from model_manager.events import timestamp
from model_manager.http.routing import Route
from model_manager.serving.platform import ClusterInfo
from model_manager.web.history import HistoryEvent, history_event
from model_manager.web.jobs import JobView, job_view
from model_manager.web.weights import Usage, usage

RECENT_JOBS = 10
RECENT_EVENTS = 5


class CatalogInfo(Struct, rename="camel"):
    """Where the catalog comes from and how fresh it is. `problems` counts them; `/catalog/problems` lists them."""

    root: str
    models_dir: str
    count: int
    last_refresh: str | None
    kind: str
    revision: str
    age_seconds: float
    ready: bool
    error: str | None
    stale_since: str | None
    problems: int


class WeightsInfo(Struct, rename="camel"):
    path: str
    pvc_name: str


class StateInfo(Struct, rename="camel"):
    """`enabled` is for clients of the original, which could do without; `sqlite` is the library's version."""

    path: str
    enabled: bool
    sqlite: str


class AuthInfo(Struct, rename="camel"):
    """Always on here: for clients of the original, which could do without."""

    enabled: bool


class SystemInfo(Struct, rename="camel"):
    """`gpuProfiles` is for clients of the original, and empty: this version estimates nothing by a GPU's name."""

    version: str
    platform: str
    started_at: str
    slots: list[str]
    catalog: CatalogInfo
    weights: WeightsInfo
    state: StateInfo
    auth: AuthInfo
    storage: Usage
    gpu_profiles: list[dict[str, Any]]
    recent_jobs: list[JobView]
    recent_history: list[HistoryEvent]
    problems: list[str]
    cluster: ClusterInfo | None
    lease: HeldLease | None


async def system_info(parts: Parts) -> SystemInfo:
    """What runs here, with what, and what happened lately."""
    jobs = await parts.jobs.list(limit=RECENT_JOBS)
    events = await parts.events.page(limit=RECENT_EVENTS, newest_first=True)
    return SystemInfo(
        version=parts.version,
        platform=parts.platform.name,
        started_at=timestamp(parts.started_at),
        slots=list(parts.slots),
        catalog=_catalog(parts),
        weights=WeightsInfo(parts.places.weights, parts.places.pvc_name),
        state=StateInfo(parts.places.state, True, sqlite3.sqlite_version),
        auth=AuthInfo(True),
        storage=await usage(parts),
        gpu_profiles=[],
        recent_jobs=[job_view(job) for job in jobs],
        recent_history=[history_event(event) for event in events],
        problems=[*parts.problems(), *parts.platform.problems()],
        cluster=await parts.platform.cluster(),
        lease=parts.lease,
    )


def _catalog(parts: Parts) -> CatalogInfo:
    status = parts.catalog.status()
    return CatalogInfo(
        root=parts.places.catalog,
        models_dir=parts.places.models_subdir,
        count=status.count,
        last_refresh=status.loaded_at,
        kind=status.kind,
        revision=status.revision,
        age_seconds=status.age_seconds,
        ready=status.ready,
        error=status.error,
        stale_since=status.stale_since,
        problems=status.problems,
    )


ROUTES = (Route("GET", "/system/info", system_info),)
