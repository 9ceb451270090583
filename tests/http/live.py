"""A real HTTP server around an ASGI application, on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.types import ASGIApp

from model_manager.http.connections import Connections
from model_manager.http.server import HttpServer
from model_manager.http.shortcut import Shortcut
from model_manager.http.tls import Certificate
from tests.waiting import until

TOKEN = "s3cret-of-the-tests"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    connections: Connections | None = None,
    certificate: Certificate | None = None,
    shortcut: Shortcut | None = None,
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose base URL is the application's; the server stops with the block.

    uvicorn's own `serve` wakes up ten times a second, at its start and at its end: too slow for many small tests.
    """
    # With its protocol named, or asyncio does not switch Nagle's algorithm off: 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.setblocking(False)
    server = HttpServer(app, connections or Connections(), certificate, shortcut=shortcut)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[listener])
    try:
        url = f"http{'' if certificate is None else 's'}://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=20) as client:
            yield client
    finally:
        for one in server.servers:
            one.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await until(lambda: not server.server_state.connections and not server.server_state.tasks)
        listener.close()


async def raw(client: httpx2.AsyncClient, request: bytes, *, timeout: float = 10.0) -> bytes:
    """What the server answers to exactly these bytes, until it closes the connection."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        writer.write(request)
        async with asyncio.timeout(timeout):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
