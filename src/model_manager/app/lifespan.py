"""What runs while a service runs: started together, stopped in order, under one deadline."""

import asyncio
import logging
import socket
from pathlib import Path

from msgspec import Struct, field
from starlette.types import ASGIApp

from model_manager import __version__, gateway
from model_manager.commands import Parts
from model_manager.http import idempotency
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.connections import Connections, Limits
from model_manager.http.idempotency import Answers
from model_manager.http.server import HttpServer
from model_manager.http.tls import Certificate
from model_manager.listening import is_loopback
from model_manager.relay import Relay
from model_manager.serving import ledger
from model_manager.serving.runtimes import Runtimes
from model_manager.settings import Settings
from model_manager.supervision import Supervisor, Watchdog
from model_manager.tokens import Tokens
from model_manager.tracing import Traces
from model_manager.web import routes
from model_manager.web.metrics_history import keep_history

log = logging.getLogger(__name__)


class Lifespan(Struct):
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

    async def aclose(self, seconds: float, *, requests: float | None = None) -> bool:
        """Streams, HTTP, loops, children, jobs; whatever is not done in time is left to the operating system.

        `requests`: the part of the seconds that requests in flight may take. Returns whether everything has ended.
        """
        self.closing.set()
        self.parts.targets.stop_waiting()
        self.parts.events.close()
        if self.reading is not None:
            self.reading.cancel()
        try:
            async with asyncio.timeout(seconds) as limit:
                if self.server is not None and self.serving_http is not None:
                    if requests is not None:
                        self.server.config.timeout_graceful_shutdown = max(1, int(requests))
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
        return not limit.expired()


def _auth(settings: Settings, tokens: Tokens) -> Auth:
    return Auth(
        tokens.keyring, tokens.failures,
        loopback=is_loopback(settings.host), reads=settings.reads, public_paths=settings.public_paths,
        allowed_hosts=settings.allowed_hosts, cors_origins=settings.cors_origins,
    )  # fmt: skip
