"""The parts of a service, made from the settings and put together."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from model_manager import __version__, logs
from model_manager.app.lifespan import Lifespan
from model_manager.app.rendering import renderer
from model_manager.app.worker import install_message
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.source import open_source
from model_manager.catalog.starter import create_starter
from model_manager.commands import Parts, Places, Webhook
from model_manager.events import EventLog
from model_manager.http import idempotency
from model_manager.jobs.job import Job, WorkerSpec
from model_manager.jobs.queue import Jobs
from model_manager.jobs.span import span_of
from model_manager.listening import own_token
from model_manager.metrics import Metrics
from model_manager.relay import Relay
from model_manager.serving import ledger
from model_manager.serving.control import Shared, SlotLoop, Timing
from model_manager.serving.forecaster import Forecaster
from model_manager.serving.local.platform import LocalPlatform
from model_manager.serving.memory import MemoryDesk
from model_manager.serving.platform import Platform
from model_manager.serving.preparation import Preparation
from model_manager.serving.runtimes import Runtimes
from model_manager.serving.targets import Targets
from model_manager.serving.timeline import Timeline
from model_manager.settings import Settings, outside, read_token, read_webhook_secret
from model_manager.settings_shown import shown
from model_manager.state.database import Database, Transaction
from model_manager.supervision import Supervisor, Watchdog
from model_manager.tokens import TokenFile, Tokens
from model_manager.tracing import Traces, open_traces
from model_manager.weights.job import INSTALL
from model_manager.weights.store import WeightStore

log = logging.getLogger(__name__)


async def build(
    settings: Settings, database: Database, token: str, token_path: Path | None,
    may_change: Callable[[], bool] = lambda: True,
) -> Lifespan:  # fmt: skip
    """`may_change` says whether it is this service's turn to write to a cluster."""
    logs.register_secret(token)
    logs.register_secret(settings.hub_token)
    metrics, traces = Metrics(), open_traces(settings.otel_endpoint, __version__)
    events = EventLog(database, settings.events_keep, settings.events_keep_for)
    tokens = await _tokens(settings, database, events, token, token_path)
    store = WeightStore(settings.weights_path, settings.disk_reserve)
    for sentence in await asyncio.to_thread(store.prepare):
        log.info("%s", sentence)
    catalog, catalog_path = _catalog(settings, database, events)
    worker = WorkerSpec(
        "model_manager.weights.install",
        install_message(settings, store, catalog),
        cleanup=lambda payload: asyncio.to_thread(store.discard, payload["folder"]),
    )
    jobs = Jobs(
        database, events, {INSTALL: worker},
        concurrency=settings.job_concurrency, log_folder=settings.state_path / "logs" / "jobs",
        environment=outside(), moved=metrics.bytes_installed,
    )  # fmt: skip
    relay = Relay()
    targets = Targets(
        settings.active_slot, settings.slots, wait=settings.switch_wait, queue=settings.switch_queue,
        entry_of=catalog.id_of,
    )  # fmt: skip
    supervisor, watchdog = Supervisor(), Watchdog()
    runtimes = Runtimes(settings.runtimes_path, log.warning)
    platform = await _platform(settings, store, relay, runtimes, may_change)
    forecaster = Forecaster(database, jobs, store, catalog.tree, settings.file_sources)
    shared = Shared(
        database, events, jobs, platform, relay, targets, MemoryDesk(),
        Preparation(store, in_this_memory=settings.platform == "local"), forecaster, metrics,
        Timing(settings.reconcile_interval, settings.activation_timeout, settings.drain_timeout),
        lambda timeline: _record(timeline, metrics, traces),
        item_of=lambda model_id: catalog.snapshot.items.get(model_id), repair_drift=settings.drift == "repair",
    )  # fmt: skip
    slots = dict.fromkeys((settings.active_slot, *settings.slots))
    loops = {name: SlotLoop(name, shared) for name in slots}
    metrics.begin(slots, (INSTALL,))
    platform.on_change(lambda name: loops[name].poke() if name in loops else None)
    jobs.on_end(lambda job: _job_ended(job, loops, metrics, traces))
    await database.write(lambda txn: _first_rows(txn, events, loops, database.recovered_from))
    parts = Parts(
        version=__version__, started_at=time.time(), database=database, events=events, tokens=tokens, jobs=jobs,
        catalog=catalog, weights=store, platform=platform, targets=targets, loops=loops, metrics=metrics,
        default_slot=settings.active_slot, render=renderer(settings, platform.runtimes), forecaster=forecaster,
        runtimes=platform.runtimes, places=_places(settings), settings=shown(settings), webhook=webhook(settings),
        problems=lambda: [*supervisor.problems(), *watchdog.problems()],
    )  # fmt: skip
    return Lifespan(parts, supervisor, watchdog, relay, runtimes, traces, catalog_path)


async def _tokens(
    settings: Settings, database: Database, events: EventLog, token: str, path: Path | None
) -> Tokens:
    def read() -> str:
        return read_token(settings) or own_token(settings.host, settings.state_path)[0]

    file = None if path is None else TokenFile(path, read, token)
    tokens = Tokens(database, events, static=token, file=file)
    await tokens.load()
    return tokens


def _record(timeline: Timeline, metrics: Metrics, traces: Traces | None) -> None:
    for passed in timeline.phases:
        metrics.phase(timeline.slot, passed.phase, passed.seconds)
    if traces is not None:
        traces.record(timeline.span())


def _job_ended(job: Job, loops: dict[str, SlotLoop], metrics: Metrics, traces: Traces | None) -> None:
    metrics.job_ended(job.kind, job.status)
    if traces is not None:
        traces.record(span_of(job))
    for loop in loops.values():
        loop.poke()


def _first_rows(
    txn: Transaction, events: EventLog, loops: dict[str, SlotLoop], recovered_from: str | None
) -> None:
    ledger.ensure_slots(txn, loops)
    idempotency.free_unfinished(txn)
    events.append(txn, "service_started", "service", {"version": __version__})
    if recovered_from:
        log.error("%s", recovered_from)
        events.append(txn, "state_recovered", "service", {"reason": recovered_from})


def _catalog(settings: Settings, database: Database, events: EventLog) -> tuple[Catalog, Path | None]:
    """The catalog that the settings name; on a machine where none is named, a starter of one's own in Git."""
    url, root, starter = settings.catalog_url, settings.catalog_root, None
    if not url and root is None:
        starter = create_starter(settings.state_path / "catalog")
        url = str(starter)
    source = open_source(
        root=None if url else root, url=url or None, ref=settings.catalog_ref,
        models_subdir=settings.catalog_models_subdir, work_folder=settings.state_path / "catalog-sync",
        credentials_file=settings.catalog_credentials_file, environment=outside(),
    )  # fmt: skip
    catalog = Catalog(
        source, settings.catalog_models_subdir, database, events, settings.catalog_refresh_interval
    )
    return catalog, starter or root


async def _platform(
    settings: Settings, store: WeightStore, relay: Relay, runtimes: Runtimes, may_change: Callable[[], bool]
) -> Platform:
    if settings.platform == "kserve":
        from model_manager.serving.kserve.opening import open_platform  # here: one machine needs none of it

        return open_platform(
            settings.kubeconfig, settings.namespace, claim=settings.weights_pvc_name, runtimes=runtimes,
            weights_there=lambda folder: store.path(folder).is_dir(), through_service=settings.pod_access == "service",
            repair=settings.drift == "repair", may_change=may_change,
        )  # fmt: skip
    platform = LocalPlatform(
        root=settings.state_path, weights=store.path, runtimes=runtimes, relay=relay, environment=outside(),
        trust_remote_code=settings.trust_remote_code, stop_grace=settings.stop_timeout,
    )  # fmt: skip
    for sentence in await platform.recover():
        log.warning("%s", sentence)
    return platform


def webhook(settings: Settings) -> Webhook:
    def secret() -> str | None:
        found = read_webhook_secret(settings)
        logs.register_secret(found)
        return found

    return Webhook(secret, settings.catalog_ref if settings.catalog_url else None)


def _places(settings: Settings) -> Places:
    return Places(
        catalog=str(settings.catalog_url or settings.catalog_root or settings.state_path / "catalog"),
        models_subdir=settings.catalog_models_subdir,
        weights=str(settings.weights_path),
        pvc_name=settings.weights_pvc_name,
        state=str(settings.state_path),
    )
