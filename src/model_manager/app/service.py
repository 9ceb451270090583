"""A service from its start to its end, in the foreground or inside of another program."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct, field
from starlette.types import ASGIApp

from model_manager import __version__, logs
from model_manager.app.assembly import build
from model_manager.app.lifespan import Lifespan
from model_manager.app.turn import HANDOVER_SECONDS, REQUESTS_SECONDS, Stopped, Turn, own_turn
from model_manager.commands import Parts
from model_manager.http.tls import certificate
from model_manager.listening import announced, listen, make_room, own_token, url_of
from model_manager.settings import Settings, read_token
from model_manager.state.database import Database

log = logging.getLogger(__name__)


class RunningService(Struct):
    """A service that answers at `url`. Set `stop` to end it.

    `handed_over`, once it has ended: another service works now, and nothing of this one is left.
    """

    url: str
    token: str
    parts: Parts
    catalog_path: Path | None
    asgi: ASGIApp
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    handed_over: bool = False


def serve(settings: Settings) -> int:
    """Run in the foreground until TERM or Ctrl-C. Returns the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    make_room(settings.max_connections)
    import uvloop

    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    """One turn after the other: what was handed over to another service may come back when that one ends."""
    told = asyncio.Event()
    stop_on_signals(told)
    newcomer = True
    with listen(settings.host, settings.server_port) as listener:
        while not told.is_set():
            try:
                async with running(settings, listener, newcomer=newcomer, told=told) as service:
                    log.info("Model Manager %s listens on %s", __version__, service.url)
                    await _either(told, service.stop)
                    log.info("stopping")
            except Stopped:
                break
            if not service.handed_over:
                break
            newcomer = False
    return 0


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


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
async def running(
    settings: Settings, listener: socket.socket | None = None, *, newcomer: bool = True,
    told: asyncio.Event | None = None,
) -> AsyncIterator[RunningService]:  # fmt: skip
    """A whole service: started when the block begins, stopped in order when it ends.

    On a cluster it begins once no other service works there. A newcomer asks that one to hand over, on its own
    `listener`; Stopped is raised when `told` to stop before.
    Raises SettingsError or StateError, each with a sentence, when it cannot start.
    """
    token, made_here = read_token(settings), None
    if token is None:
        token, made_here = own_token(settings.host, settings.state_path)
    secured = certificate(settings.tls_cert_file, settings.tls_key_file)
    async with AsyncExitStack() as stack:
        listener = listener or stack.enter_context(listen(settings.host, settings.server_port))
        turn = None
        if settings.platform == "kserve":
            waiting = own_turn(settings, listener, secured, newcomer=newcomer, told=told or asyncio.Event())
            turn = await stack.enter_async_context(waiting)
        database = await (turn.open_state if turn else Database.open)(settings.state_path)
        stack.push_async_callback(database.aclose)
        token_file = settings.api_token_file or made_here
        may_change = turn.may_change if turn else lambda: True
        lifespan = await build(settings, database, token, token_file, may_change)
        lifespan.parts.lease = turn.held(settings.namespace) if turn else None
        url = url_of(settings.host, listener, "https" if secured else "http")
        asgi = lifespan.application(settings)
        service = RunningService(url, token, lifespan.parts, lifespan.catalog_path, asgi, lifespan.stop)
        stack.push_async_callback(_end, service, lifespan, turn, settings)
        # A copy where the port stays ours: the server closes what it is given.
        given = listener.dup() if turn else listener
        lifespan.serving_http = asyncio.create_task(
            lifespan.http(given, asgi, secured, settings), name="http"
        )
        lifespan.start()
        if turn:
            turn.begin(lifespan.stop)
        if made_here is not None:
            log.info("the API token lies in %s", made_here)
        stack.enter_context(announced(settings.state_path, url))
        yield service


async def _end(service: RunningService, lifespan: Lifespan, turn: Turn | None, settings: Settings) -> None:
    if turn is None or not turn.is_over:
        await lifespan.aclose(settings.shutdown_timeout)
    else:
        service.handed_over = await lifespan.aclose(HANDOVER_SECONDS, requests=REQUESTS_SECONDS)
