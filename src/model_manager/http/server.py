"""uvicorn's server, fitted into the house: our protocol, HTTPS of our own, and no signal handling."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from model_manager.http.connections import Connections
from model_manager.http.protocol import BoundedProtocol, bounded
from model_manager.http.shortcut import Shortcut
from model_manager.http.tls import Certificate, TlsListener


class HttpServer(uvicorn.Server):
    """Serves `app` over HTTP, or over HTTPS where there is a certificate.

    Signals are not its business: the service decides in which order things end. `patience` is in whole seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        connections: Connections,
        certificate: Certificate | None = None,
        *,
        shortcut: Shortcut | None = None,
        patience: int | None = None,
    ) -> None:
        self._protocol = bounded(connections, shortcut)
        self._connections, self._certificate = connections, certificate
        super().__init__(
            uvicorn.Config(
                app, http=self._protocol, ws="none", lifespan="off", log_config=None, access_log=False,
                server_header=False, proxy_headers=False, timeout_graceful_shutdown=patience,
            )
        )  # fmt: skip

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._certificate is None:
            await super().startup(sockets)
            return
        await super().startup([])
        listeners = [
            TlsListener(one, self._certificate, self._connections, self._secure) for one in sockets or ()
        ]
        self.servers = cast("list[Any]", listeners)

    def _secure(self) -> BoundedProtocol:
        return self._protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
