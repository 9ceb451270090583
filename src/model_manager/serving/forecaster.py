"""Forecasts of this machine's own models: the history, the volume and the jobs are asked, never a network."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec import Struct

from model_manager.catalog.entry import Entry
from model_manager.errors import Unavailable
from model_manager.jobs.job import Job
from model_manager.jobs.queue import Jobs
from model_manager.serving import ledger
from model_manager.serving.forecast import Forecast, Known, Load, Transition, forecast, loads
from model_manager.serving.ledger import Row
from model_manager.serving.platform import Observed
from model_manager.serving.preparation import satisfies
from model_manager.serving.targets import Coming
from model_manager.state.database import Database
from model_manager.weights.expected import expected_bytes
from model_manager.weights.job import INSTALL
from model_manager.weights.store import WeightStore

log = logging.getLogger(__name__)

_LATEST = 100  # events of each kind: some twenty switches of a busy house, or months of a quiet one


class Past(Struct, frozen=True):
    """What the history tells. `folders`: where the weights of each load's model lay, by model id."""

    loads: list[Load]
    folders: dict[str, str]
    rates: list[float]


class Forecaster:
    """What to expect of activations.

    `tree` is where relative `file:` sources begin (Unavailable while there is none), `file_roots` are allowed ones
    outside it.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        store: WeightStore,
        tree: Callable[[], Path],
        file_roots: tuple[Path, ...] = (),
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._store = store
        self._tree = tree
        self._file_roots = file_roots

    async def forecast(self, entry: Entry, folder: str | None, *, replaces: bool) -> Forecast:
        """For an activation of `entry` now. `folder`: of its weights, if we install any; `replaces`: something runs."""
        past, job = await self._database.read(
            lambda connection: (_past(connection), self._jobs.unfinished(connection, INSTALL, folder or ""))
        )
        install = await self._jobs.get(job) if job else None
        size, present = await asyncio.to_thread(self._weights, entry, folder)
        sizes = await asyncio.to_thread(self._sizes, past) if present or size else {}
        if size is not None:
            sizes[entry.id] = size
        fetch, seconds = (0, None) if present or folder is None else _to_fetch(size, install)
        return forecast(Known(entry.id, past.loads, sizes, past.rates, fetch, seconds, replaces))

    async def left(self, row: Row, *, replaces: bool) -> float | None:
        """Seconds from the beginning of an attempt's phase until it serves; None where that cannot be told."""
        found = await self.forecast(row.entry, row.weights, replaces=replaces)
        if row.phase in ("queued", "installing"):
            return found.seconds
        if row.phase == "stopping" and found.start_seconds is not None:
            return found.start_seconds + (found.stop_seconds or 0.0)
        return found.start_seconds

    def _weights(self, entry: Entry, folder: str | None) -> tuple[int | None, bool]:
        """How many bytes they have, if that can be told, and whether they are here."""
        installed = self._store.find(folder) if folder else None
        if installed is not None and satisfies(installed, entry):
            return installed.size, True
        try:
            tree = self._tree()
        except Unavailable:
            tree = None
        return expected_bytes(entry, tree, self._file_roots), False

    def _sizes(self, past: Past) -> dict[str, int]:
        found = {model: self._store.find(folder) for model, folder in past.folders.items()}
        return {model: weights.size for model, weights in found.items() if weights}


class Eta:
    """When a slot's loop expects its model to serve: told at the beginning of a phase, and kept until the next."""

    def __init__(self, forecaster: Forecaster) -> None:
        self._forecaster = forecaster
        self._phase: tuple[str, str] | None = None
        self._ready_at: float | None = None

    async def coming(self, row: Row | None, observed: Observed, *, serves: bool) -> Coming | None:
        """What the gateway may expect of a slot that wants `row`: it lets requests wait, or says when to come back."""
        if row is None or row.result in ledger.ENDS:
            return None
        if serves:
            self._phase = ready_at = None  # should it start again, that is to be told anew
        else:
            ready_at = await self.ready_at(row, replaces=observed.activation not in (None, row.id))
        names = frozenset((row.model_id, row.entry.served_name, *row.entry.aliases))
        return Coming(row.model_id, names, "starting" if row.phase == "active" else row.phase, ready_at)

    async def ready_at(self, row: Row, *, replaces: bool) -> float | None:
        """In seconds of `time.monotonic()`; None where nothing is known."""
        phase = (row.id, "starting" if row.phase in ("verifying", "active") else row.phase)
        if phase != self._phase or row.phase == "installing":  # an install tells at each look how far it is
            self._phase, self._ready_at = phase, await self._told(row, replaces)
        return self._ready_at

    async def _told(self, row: Row, replaces: bool) -> float | None:
        try:
            left = await self._forecaster.left(row, replaces=replaces)
        except Exception:  # a forecast is a courtesy: it must not hold up what it is about
            log.exception("how long %s will take could not be told", row.model_id)
            return None
        return None if left is None else time.monotonic() + left


def _to_fetch(size: int | None, install: Job | None) -> tuple[int | None, float | None]:
    """Bytes that still have to come, and the seconds that the install under way says itself."""
    progress: dict[str, Any] = (install.progress if install else None) or {}
    total, done = progress.get("bytes_total") or size, progress.get("bytes_done") or 0
    return (None if total is None else max(0, total - done)), progress.get("eta")


def _past(connection: Connection) -> Past:
    found = loads(_transitions(connection))
    ids = [load.activation for load in found]
    marks = ", ".join("?" * len(ids))
    sql = f"SELECT model_id, weights FROM activations WHERE id IN ({marks}) AND weights NOTNULL"
    folders: dict[str, str] = dict(connection.execute(sql, ids).fetchall())
    return Past(found, folders, _rates(connection))


def _transitions(connection: Connection) -> list[Transition]:
    told = [
        (event.seq, Transition(event.data["activation"], event.data["modelId"], phase, event.at))
        for phase in ("stopping", "starting", "active")
        for event in _latest(connection, f"activation_{phase}")
    ]
    return [transition for _, transition in sorted(told, key=lambda pair: pair[0])]


def _rates(connection: Connection) -> list[float]:
    """Bytes per second of recent installs that brought any, latest first; planning and checking are in it."""
    began = {event.data["jobId"]: event.at for event in reversed(_latest(connection, f"{INSTALL}_running"))}
    rates = []
    for event in _latest(connection, f"{INSTALL}_completed"):
        result = event.data.get("result") or {}
        seconds = event.at - began.get(event.data["jobId"], event.at)
        if seconds > 0 and result.get("sizeBytes") and not result.get("unchanged"):
            rates.append(result["sizeBytes"] / seconds)
    return rates


class _Told(Struct, frozen=True):
    """An event; `at` in seconds since the epoch."""

    seq: int
    at: float
    data: dict[str, Any]


def _latest(connection: Connection, kind: str) -> list[_Told]:
    """The latest events of a kind that happened here, latest first: imported ones may hold anything."""
    sql = "SELECT seq, time, data FROM events WHERE kind = ? AND seq > 0 ORDER BY seq DESC LIMIT ?"
    return [
        _Told(seq, datetime.fromisoformat(moment).timestamp(), msgspec.json.decode(data))
        for seq, moment, data in connection.execute(sql, (kind, _LATEST))
    ]
