"""HTTPS by certificate files that may change while the service runs, as cert-manager and ACME clients change them."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from model_manager.errors import ModelManagerError, SettingsError
from model_manager.http.connections import Connections, Place
from model_manager.http.protocol import BoundedProtocol

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds for which the files are taken to be what they were."""

_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """A certificate chain and its private key in PEM files. `key` None: the key is in the chain's file.

    Raises SettingsError when they cannot be used; later, a broken new file leaves the old certificate in use.
    """

    def __init__(self, chain: Path, key: Path | None) -> None:
        self._chain, self._key = chain, key or chain
        self._stamp = self._look()
        self._context = self._load()
        self._next_look = time.monotonic() + LOOK_EVERY

    def context(self) -> ssl.SSLContext:
        """For the next handshake, with the certificate that lies there now."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._renew()
        return self._context

    def _renew(self) -> None:
        """Said once for each change, not for each handshake."""
        if (stamp := self._look()) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._context = self._load()
        except SettingsError as error:
            log.error("the old TLS certificate stays in use: %s", error.sentence)
        else:
            log.info("the TLS certificate was read again from %s", self._chain)

    def _look(self) -> _Stamp:
        """What tells one version of the files from another; a file that is away has a stamp too."""
        return tuple(_stamp(path) for path in dict.fromkeys((self._chain, self._key)))

    def _load(self) -> ssl.SSLContext:
        for path in dict.fromkeys((self._chain, self._key)):
            _check(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        try:
            # With a password that is none: OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(self._chain, self._key, password="")
        except ssl.SSLError as error:
            mismatch = error.reason == "KEY_VALUES_MISMATCH"
            why = "do not belong together" if mismatch else "are not a certificate and a key in PEM"
            raise SettingsError(f"The TLS files {self._chain} and {self._key} {why}.", _HINT) from error
        return context


_HINT = (
    "MODEL_MANAGER_TLS_CERT_FILE is the chain in PEM, the service's own certificate first; "
    "MODEL_MANAGER_TLS_KEY_FILE its private key in PEM, without a password."
)


def certificate(chain: Path | None, key: Path | None) -> Certificate | None:
    """The certificate that the settings name, if any. Raises SettingsError."""
    if chain is None and key is not None:
        raise SettingsError("A TLS key is set, but no certificate.", _HINT)
    return None if chain is None else Certificate(chain, key)


class TlsListener:
    """Accepts connections and hands each to a new protocol once TLS stands, as an asyncio server would.

    Unlike there, a connection counts from its first moment, shakes hands with the certificate of that moment, and
    has as long for it as for a request's head. Nobody can be told anything before that: whoever is one too many, or
    speaks plain HTTP, is cut off, without a line in the log of which anybody who reaches the port could make millions.
    """

    def __init__(
        self,
        listener: socket.socket,
        certificate: Certificate,
        connections: Connections,
        protocol: Callable[[], BoundedProtocol],
    ) -> None:
        self._listener, self._certificate = listener, certificate
        self._connections, self._protocol = connections, protocol
        self._tasks = {asyncio.create_task(self._accept(), name="tls")}

    def close(self) -> None:
        """End listening and handshakes; connections that stand are their protocols' to end."""
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as error:  # no file descriptors are left, most likely
                log.error("no connection can be accepted: %s", error)
                await asyncio.sleep(1.0)
                continue
            try:
                place = self._connections.admit(address[0])
            except ModelManagerError:
                connection.close()
            else:
                task = asyncio.create_task(self._shake_hands(connection, place))
                self._tasks.add(task)
                task.add_done_callback(partial(self._shaken, connection, place))

    async def _shake_hands(self, connection: socket.socket, place: Place) -> None:
        def protocol() -> BoundedProtocol:
            made = self._protocol()
            made.place = place
            return made

        await asyncio.get_running_loop().connect_accepted_socket(
            protocol, connection, ssl=self._certificate.context(),
            ssl_handshake_timeout=self._connections.limits.head_seconds,
        )  # fmt: skip

    def _shaken(self, connection: socket.socket, place: Place, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is not None:
            place.leave()
            connection.close()
            if not task.cancelled():
                log.debug("no TLS with a client: %s", error)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()  # of the file itself, where Kubernetes changes a link to it
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _check(path: Path) -> None:
    """What OpenSSL says of these is of no use to anybody."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"The TLS file {path} cannot be read: {error.strerror}.", _HINT) from error
    if b"ENCRYPTED" in data:
        raise SettingsError(
            f"The TLS key {path} is protected by a password, which nobody is asked for.", _HINT
        )
