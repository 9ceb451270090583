"""Where `state import` brings what it read: into the state folder or, while a service has that open, to the service."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from model_manager import client as api
from model_manager.cli.address import of_folder
from model_manager.commands import TakenOver, take_over
from model_manager.commands.original import Original, OriginalEvent, OriginalJob
from model_manager.errors import ModelManagerError
from model_manager.events import EventLog
from model_manager.settings import Settings
from model_manager.state.database import Database

T = TypeVar("T")

PORTION = 2**19
"""Bytes of records in one request: half of what the service takes."""


def taken_over(found: Original, file: Path, settings: Settings) -> TakenOver:
    """Take over what was found, by whoever has the state folder: the service that runs on it, else this process."""
    place = of_folder(settings)
    origin = str(file.absolute())
    if place is None:
        return asyncio.run(_by_ourselves(found, origin, settings.state_path))
    client = api.Client(place.url, place.token)
    try:
        return _total(_by_the_service(client, found, origin))
    except ModelManagerError as error:
        place.explain(error)
        raise


async def _by_ourselves(found: Original, origin: str, folder: Path) -> TakenOver:
    database = await Database.open(folder)
    try:
        events = EventLog(database)
        return await database.write(
            lambda txn: take_over(txn, events, found.jobs, found.events, origin, "system")
        )
    finally:
        await database.aclose()


def _by_the_service(client: api.Client, found: Original, origin: str) -> Iterator[TakenOver]:
    for records in portions([*found.jobs, *found.events], PORTION):
        jobs = [one for one in records if isinstance(one, OriginalJob)]
        events = [one for one in records if isinstance(one, OriginalEvent)]
        call = api.calls.import_state(
            file=origin,
            jobs=msgspec.convert(msgspec.to_builtins(jobs), list[api.types.OriginalJob]),
            events=msgspec.convert(msgspec.to_builtins(events), list[api.types.OriginalEvent]),
        )
        done = client.send(call)
        yield TakenOver(done.jobs, done.events, done.known)


def _total(parts: Iterator[TakenOver]) -> TakenOver:
    total = TakenOver(0, 0, 0)
    for part in parts:
        total = TakenOver(total.jobs + part.jobs, total.events + part.events, total.known + part.known)
    return total


def portions(records: Sequence[T], limit: int) -> Iterator[list[T]]:
    """Runs of records of at most `limit` bytes of JSON each; one that is longer goes alone."""
    run: list[T] = []
    size = 0
    for record in records:
        length = len(msgspec.json.encode(record))
        if run and size + length > limit:
            yield run
            run, size = [], 0
        run.append(record)
        size += length
    if run:
        yield run
