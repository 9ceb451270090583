"""Two services on one cluster: one works, the other waits, and the work is handed over whole.

A rollout starts the new one beside the old one. The new one answers that it lives, asks for the lease and touches
nothing until it holds it; the old one ends its work as if it were told to stop, gives the lease back, and waits.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from model_manager.app.standby import standby
from model_manager.commands.parts import HeldLease
from model_manager.http.connections import Connections, Limits
from model_manager.http.server import HttpServer
from model_manager.http.tls import Certificate
from model_manager.settings import Settings
from model_manager.state.database import Database
from model_manager.state.fence import Fenced
from model_manager.state.lock import held_by
from model_manager.state.opening import refuse_newer

if TYPE_CHECKING:
    from model_manager.serving.kserve.lease import Lease

HANDOVER_SECONDS = 7.0
"""For ending everything: whoever asked has the lease after 10 s, with the looks of both at it."""

REQUESTS_SECONDS = 3.0
"""The part of them that requests in flight may take."""


class Stopped(Exception):
    """The service was told to stop before its turn came."""


class Turn:
    """From the moment the lease is held, until another service has to go on (`is_over`)."""

    def __init__(self, lease: "Lease", waiting: HttpServer) -> None:
        self._lease, self._waiting = lease, waiting
        self._holding = asyncio.create_task(lease.hold(), name="lease")

    def held(self, namespace: str) -> HeldLease:
        return HeldLease(namespace, self._lease.name, self._lease.identity, self._lease.token)

    def may_change(self) -> bool:
        """Whether the cluster may be written to now."""
        return self._lease.is_sure

    @property
    def is_over(self) -> bool:
        return self._holding.done()

    async def open_state(self, folder: Path) -> Database:
        """The state, closed to all whose turn was before ours."""
        try:
            return await Database.open(folder, token=self._lease.token)
        except Fenced as met:
            return await Database.open(folder, token=await self._lease.raise_to(met.token + 1))

    def begin(self, stop: asyncio.Event) -> None:
        """The service itself answers on the port now; set `stop` when the turn is over."""
        self._waiting.should_exit = True
        self._holding.add_done_callback(lambda _: stop.set())

    async def end(self) -> None:
        self._holding.cancel()
        await self._lease.release()


@asynccontextmanager
async def own_turn(
    settings: Settings, listener: socket.socket, secured: Certificate | None, *, newcomer: bool,
    told: asyncio.Event,
) -> AsyncIterator[Turn]:  # fmt: skip
    """Wait for the lease, answering on `listener` meanwhile; give it back when the block ends.

    Raises Stopped when `told` to stop before, and StateError when a newer version has the state open. A newcomer asks
    for the lease.
    """
    from model_manager.serving.kserve.opening import open_lease  # here: one machine needs none of it

    state = settings.state_path
    await asyncio.to_thread(refuse_newer, state)  # whoever works must not stop for one that cannot
    lease = open_lease(
        settings.kubeconfig, settings.namespace, settings.active_slot,
        state=str(state), state_in_use=lambda: held_by(state) is not None,
    )  # fmt: skip
    limits = Limits(settings.max_connections, settings.max_connections_per_client)
    server = HttpServer(standby(lease, newcomer=newcomer), Connections(limits), secured, patience=1)
    serving = asyncio.create_task(server.serve(sockets=[listener.dup()]), name="standby")
    turn = None
    try:
        await _taken(lease, newcomer, told)
        turn = Turn(lease, server)
        yield turn
    finally:
        server.should_exit = True
        if turn is not None:
            await turn.end()
        await asyncio.wait({serving})
        await lease.aclose()


async def _taken(lease: "Lease", newcomer: bool, told: asyncio.Event) -> None:
    taking = asyncio.create_task(lease.take(ask=newcomer), name="lease")
    stopping = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not taking.done():
            raise Stopped
        taking.result()
    finally:
        for task in (taking, stopping):
            task.cancel()
