"""What a new snapshot leaves in the state file: the last good versions and the events, in one transaction."""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from model_manager.catalog import last_good
from model_manager.catalog.files import Reading
from model_manager.catalog.last_good import Good
from model_manager.catalog.problem import Problem
from model_manager.catalog.snapshot import Snapshot
from model_manager.events import EventLog
from model_manager.state.database import Database, Transaction

_NAMED = 20  # ids or problems that one refresh names in the history: a hostile commit may hold thousands


async def record(
    database: Database,
    events: EventLog,
    actor: str,
    old: Snapshot,
    new: Snapshot,
    reading: Reading,
    good: Mapping[str, Good],
    kept: set[str],
) -> dict[str, Good]:
    """Write what `new` changes. Returns what is kept now, by id.

    `kept` are ids whose remembered version must stay although they are not served fresh.
    """
    now, changed = await asyncio.to_thread(_to_keep, new, reading, good)
    now.update((id_, good[id_]) for id_ in kept if id_ in good)
    removed = [id_ for id_ in good if id_ not in now]
    remembered = await last_good.get_state(database, "revision")

    def write(txn: Transaction) -> None:
        last_good.save(txn, changed, removed)
        last_good.put_state(txn, "revision", new.revision)
        if new.revision != remembered:
            _tell(txn, events, actor, remembered or "", new, [item.id for item, _ in changed], removed)
        for problem in _news(old, new)[:_NAMED] if new.revision != remembered else ():
            events.append(txn, "catalog_problem", problem.file, _data(problem), actor)

    await database.write(write)
    return now


def _to_keep(
    new: Snapshot, reading: Reading, good: Mapping[str, Good]
) -> tuple[dict[str, Good], list[tuple[Good, bytes]]]:
    """What is good now, by id, and of it what has to be written."""
    fresh = {reading.results[name].file: data for name, data in reading.fresh.items()}
    digests = {result.file: result.digest for result in reading.results.values()}
    now: dict[str, Good] = {}
    changed = []
    for id_, item in new.items.items():
        before = good.get(id_)
        if item.stale:
            continue
        digest = digests[item.file]
        if before and (before.digest, before.file) == (digest, item.file):
            now[id_] = before
        elif data := fresh.get(item.file) or _again(Path(new.tree) / item.file, digest):
            now[id_] = Good(id_, item.file, item.revision, digest)
            changed.append((now[id_], data))
    return now, changed


def _again(path: Path, digest: str) -> bytes | None:
    """The bytes of a file that was read before, as when a second claim to its id is gone; None if it changed."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if sha256(data).hexdigest() == digest else None


def _tell(
    txn: Transaction,
    events: EventLog,
    actor: str,
    previous: str,
    new: Snapshot,
    changed: list[str],
    removed: list[str],
) -> None:
    data = {
        "revision": new.revision,
        "previous": previous,
        "count": len(new.items),
        "problems": len(new.problems),
        "changed": changed[:_NAMED],
        "changedCount": len(changed),
        "removed": removed[:_NAMED],
        "removedCount": len(removed),
    }
    events.append(txn, "catalog_refreshed", "", data, actor)


def _news(old: Snapshot, new: Snapshot) -> list[Problem]:
    """Errors that were not there before; a line that only moved is no news."""
    known = {(problem.file, problem.field, problem.message) for problem in old.problems}
    return [
        problem
        for problem in new.problems
        if problem.severity == "error" and (problem.file, problem.field, problem.message) not in known
    ]


def _data(problem: Problem) -> dict[str, str | int]:
    return {
        "line": problem.line,
        "column": problem.column,
        "field": problem.field,
        "message": problem.message,
        "hint": problem.hint,
    }
