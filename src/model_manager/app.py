"""The composition root: settings -> parts -> the ASGI application, its lifespan and its port.

The only file that imports every adapter. Start: state, weights folder, port, loops. Stop, under one deadline:
streams, HTTP, loops, children, jobs, state.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from model_manager import __version__, gateway, logs
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.snapshot import CatalogItem
from model_manager.catalog.source import open_source
from model_manager.catalog.starter import create_starter
from model_manager.commands import Parts, Places, Render, Webhook
from model_manager.errors import SettingsError, Unavailable
from model_manager.events import EventLog
from model_manager.http import idempotency
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.connections import Connections, Limits
from model_manager.http.idempotency import Answers
from model_manager.http.server import HttpServer
from model_manager.http.tls import Certificate, certificate
from model_manager.jobs.job import Job, WorkerSpec
from model_manager.jobs.queue import Jobs
from model_manager.jobs.work import work_of
from model_manager.listening import announced, is_loopback, listen, make_room, own_token, url_of
from model_manager.metrics import Metrics
from model_manager.relay import Relay
from model_manager.serving import ledger
from model_manager.serving.control import Shared, SlotLoop, Timing
from model_manager.serving.journey import Journey
from model_manager.serving.local.platform import LocalPlatform
from model_manager.serving.manifest import RenderContext, render
from model_manager.serving.memory import MemoryDesk
from model_manager.serving.outlook import Outlook
from model_manager.serving.platform import Manifest, Platform
from model_manager.serving.preparation import Preparation
from model_manager.serving.runtimes import Runtimes
from model_manager.serving.targets import Targets
from model_manager.settings import Settings, outside, read_token, read_webhook_secret
from model_manager.settings_shown import shown
from model_manager.state.database import Database, Transaction
from model_manager.supervision import Supervisor, Watchdog
from model_manager.tokens import TokenFile, Tokens
from model_manager.tracing import Traces, open_traces
from model_manager.web import routes
from model_manager.web.metrics_history import keep_history
from model_manager.weights.job import INSTALL
from model_manager.weights.store import WeightStore
from model_manager.weights.uri import folder_of

log = logging.getLogger(__name__)


@dataclass
class RunningService:
    """A service that answers at `url`. Set `stop` to end it."""

    url: str
    token: str
    parts: Parts
    catalog_path: Path | None
    asgi: ASGIApp
    stop: asyncio.Event = field(default_factory=asyncio.Event)


def serve(settings: Settings) -> int:
    """Run in the foreground until TERM or Ctrl-C. Returns the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    make_room(settings.max_connections)
    import uvloop

    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    async with running(settings) as service:
        stop_on_signals(service.stop)
        log.info("Model Manager %s listens on %s", __version__, service.url)
        await service.stop.wait()
        log.info("stopping")
    return 0


def stop_on_signals(stop: asyncio.Event) -> None:
    """The first TERM or Ctrl-C asks for an orderly end; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def ask(number: int) -> None:
        stop.set()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ask, name)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[RunningService]:
    """A whole service: started when the block begins, stopped in order when it ends.

    Raises SettingsError or StateError, each with a sentence, when it cannot start.
    """
    token, made_here = read_token(settings), None
    if token is None:
        token, made_here = own_token(settings.host, settings.state_path)
    secured = certificate(settings.tls_cert_file, settings.tls_key_file)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(settings.host, settings.server_port))
        database = await Database.open(settings.state_path)
        stack.push_async_callback(database.aclose)
        house = await _build(settings, database, token, settings.api_token_file or made_here)
        stack.push_async_callback(house.aclose, settings.shutdown_timeout)
        url = url_of(settings.host, listener, "https" if secured else "http")
        asgi = house.application(settings)
        server = asyncio.create_task(house.http(listener, asgi, secured, settings), name="http")
        house.serving_http = server
        house.start()
        if made_here is not None:
            log.info("the API token lies in %s", made_here)
        stack.enter_context(announced(settings.state_path, url))
        yield RunningService(url, token, house.parts, house.catalog_path, asgi, house.stop)


@dataclass
class _House:
    """The parts together with what runs them."""

    parts: Parts
    supervisor: Supervisor
    watchdog: Watchdog
    relay: Relay
    runtimes: Runtimes
    traces: Traces | None
    catalog_path: Path | None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Task[None] | None = None
    server: "HttpServer | None" = None
    shortcut: gateway.Shortcut | None = None
    serving_http: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.supervisor.start("the watchdog", self.watchdog.run)
        self.supervisor.start("the tokens", self.parts.tokens.run)
        self.supervisor.start("the catalog", self.parts.catalog.run)
        self.supervisor.start("the job runner", self.parts.jobs.run)
        self.supervisor.start("the history's pruning", self._prune)
        self.supervisor.start("the history of the numbers", lambda: keep_history(self.parts))
        for name, loop in self.parts.loops.items():
            self.supervisor.start(f"slot {name}", loop.run)
        self.reading = asyncio.create_task(self._read_runtimes(), name="runtimes")

    def application(self, settings: Settings) -> ASGIApp:
        metrics = self.parts.metrics
        if self.traces is None:  # what goes past ASGI has no span
            self.shortcut = gateway.Shortcut(
                self.parts.targets, self.relay, observe=metrics.gateway, observe_http=metrics.request
            )
        served = application(
            routes(self.parts),
            version=__version__,
            auth=_auth(settings, self.parts.tokens),
            closing=self.closing,
            others=gateway.routes(
                self.parts.targets, self.relay, observe=metrics.gateway, shortcut=self.shortcut
            ),
            described=gateway.described(),
            respond=gateway.error_response,
            answers=Answers(self.parts.database),
            observe=metrics.request,
        )
        return served if self.traces is None else self.traces.requests_of(served)

    async def http(
        self, listener: socket.socket, asgi: ASGIApp, secured: Certificate | None, settings: Settings
    ) -> None:
        limits = Limits(settings.max_connections, settings.max_connections_per_client)
        patience = max(1, int(settings.shutdown_timeout))
        self.server = HttpServer(
            asgi, Connections(limits), secured, shortcut=self.shortcut, patience=patience
        )
        connections = self.server.server_state.connections
        self.parts.connections = lambda: len(connections)
        await self.server.serve(sockets=[listener])
        self.stop.set()

    async def _read_runtimes(self) -> None:
        """Before a model needs them, after the rush of a start: it must not hold up the first answers."""
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self.runtimes.load)

    async def _prune(self) -> None:
        while True:
            await self.parts.events.prune()
            await self.parts.database.write(ledger.prune)
            await self.parts.database.write(idempotency.prune)
            await asyncio.sleep(3600)

    async def aclose(self, seconds: float) -> None:
        """Streams, HTTP, loops, children, jobs; whatever is not done in time is left to the operating system."""
        self.closing.set()
        self.parts.targets.stop_waiting()
        self.parts.events.close()
        if self.reading is not None:
            self.reading.cancel()
        try:
            async with asyncio.timeout(seconds):
                if self.server is not None and self.serving_http is not None:
                    self.server.should_exit = True
                    await asyncio.wait({self.serving_http})
                await self.supervisor.aclose()
                await self.parts.platform.aclose()
                await self.parts.jobs.aclose()
                await self.parts.catalog.aclose()
                await self.relay.aclose()
                await self.parts.tokens.aclose()
        except TimeoutError:
            log.warning("not everything ended within %g s", seconds)
        if self.traces is not None:
            await self.traces.aclose()
        self.watchdog.close()


async def _build(settings: Settings, database: Database, token: str, token_path: Path | None) -> _House:
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
        _install_message(settings, store, catalog),
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
    platform = await _platform(settings, store, relay, runtimes)
    outlook = Outlook(database, jobs, store, catalog.tree, settings.file_sources)
    shared = Shared(
        database, events, jobs, platform, relay, targets, MemoryDesk(), Preparation(store), outlook, metrics,
        Timing(settings.reconcile_interval, settings.activation_timeout, settings.drain_timeout),
        lambda journey: _told(journey, metrics, traces),
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
        default_slot=settings.active_slot, render=_renderer(settings, runtimes), outlook=outlook, runtimes=runtimes,
        places=_places(settings), settings=shown(settings), webhook=_webhook(settings),
        problems=lambda: [*supervisor.problems(), *watchdog.problems()],
    )  # fmt: skip
    return _House(parts, supervisor, watchdog, relay, runtimes, traces, catalog_path)


async def _tokens(
    settings: Settings, database: Database, events: EventLog, token: str, path: Path | None
) -> Tokens:
    def read() -> str:
        return read_token(settings) or own_token(settings.host, settings.state_path)[0]

    file = None if path is None else TokenFile(path, read, token)
    tokens = Tokens(database, events, static=token, file=file)
    await tokens.load()
    return tokens


def _auth(settings: Settings, tokens: Tokens) -> Auth:
    return Auth(
        tokens.keyring, tokens.failures,
        loopback=is_loopback(settings.host), reads=settings.reads, public_paths=settings.public_paths,
        allowed_hosts=settings.allowed_hosts, cors_origins=settings.cors_origins,
    )  # fmt: skip


def _told(journey: Journey, metrics: Metrics, traces: Traces | None) -> None:
    for passed in journey.phases:
        metrics.phase(journey.slot, passed.phase, passed.seconds)
    if traces is not None:
        traces.record(journey.work())


def _job_ended(job: Job, loops: dict[str, SlotLoop], metrics: Metrics, traces: Traces | None) -> None:
    metrics.job_ended(job.kind, job.status)
    if traces is not None:
        traces.record(work_of(job))
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


async def _platform(settings: Settings, store: WeightStore, relay: Relay, runtimes: Runtimes) -> Platform:
    if settings.platform == "kserve":
        raise SettingsError(
            "MODEL_MANAGER_PLATFORM=kserve needs the KServe adapter, which this version does not have yet.",
            "Use MODEL_MANAGER_PLATFORM=local on one machine.",
        )
    platform = LocalPlatform(
        root=settings.state_path, weights=store.path, runtimes=runtimes, relay=relay, environment=outside(),
        trust_remote_code=settings.trust_remote_code, stop_grace=settings.stop_timeout,
    )  # fmt: skip
    for sentence in await platform.recover():
        log.warning("%s", sentence)
    return platform


def _renderer(settings: Settings, runtimes: Runtimes) -> Render:
    def draft(item: CatalogItem, slot: str, activation: str) -> tuple[Manifest, str | None]:
        """The manifest of one activation, and the folder of weights that we install for it (None: KServe fetches)."""
        by_kserve = settings.platform == "kserve" and (item.entry.storage_uri or "").startswith("hf://")
        weights = None if by_kserve else folder_of(item.entry)
        context = RenderContext(
            slot=slot, namespace=settings.namespace, activation=activation, revision=item.revision,
            entry_hash=item.hash, weights_folder=weights, pvc_name=settings.weights_pvc_name,
            default_runtime=settings.default_runtime, runtimes=runtimes,
        )  # fmt: skip
        manifest, notes = render(item.entry, context)
        for note in notes:
            log.info("%s: %s", item.entry.id, note)
        return manifest, weights

    return draft


def _install_message(
    settings: Settings, store: WeightStore, catalog: Catalog
) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    async def prepare(payload: dict[str, Any]) -> dict[str, Any]:
        """What the worker is told beside the stored payload: places and secrets of this machine, never stored."""
        return {
            **payload,
            "root": str(store.root),
            "reserve": settings.disk_reserve,
            "tree": await _tree(catalog, payload),
            "fileRoots": [str(folder) for folder in settings.file_sources],
            "hubEndpoint": settings.hub_endpoint,
            "timeout": settings.weights_install_timeout,
            "secrets": {"hubToken": settings.hub_token},
        }

    return prepare


async def _tree(catalog: Catalog, payload: dict[str, Any]) -> str | None:
    """The catalog's folder for a source inside it. Right after a start, the catalog may have to be read first."""
    uri = (payload["entry"].get("source") or {}).get("uri", "")
    if not uri.startswith("file:"):
        return None
    try:
        return str(catalog.tree())
    except Unavailable:
        await catalog.refresh()
        return str(catalog.tree())


def _webhook(settings: Settings) -> Webhook:
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
