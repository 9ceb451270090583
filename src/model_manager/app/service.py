"""A service from its start to its end, in the foreground or inside of another program."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct, field
from starlette.types import ASGIApp

from model_manager import __version__, logs
from model_manager.app.assembly import build
from model_manager.commands import Parts
from model_manager.http.tls import certificate
from model_manager.listening import announced, listen, make_room, own_token, url_of
from model_manager.settings import Settings, read_token
from model_manager.state.database import Database

log = logging.getLogger(__name__)


class RunningService(Struct):
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
        lifespan = await build(settings, database, token, settings.api_token_file or made_here)
        stack.push_async_callback(lifespan.aclose, settings.shutdown_timeout)
        url = url_of(settings.host, listener, "https" if secured else "http")
        asgi = lifespan.application(settings)
        server = asyncio.create_task(lifespan.http(listener, asgi, secured, settings), name="http")
        lifespan.serving_http = server
        lifespan.start()
        if made_here is not None:
            log.info("the API token lies in %s", made_here)
        stack.enter_context(announced(settings.state_path, url))
        yield RunningService(url, token, lifespan.parts, lifespan.catalog_path, asgi, lifespan.stop)
