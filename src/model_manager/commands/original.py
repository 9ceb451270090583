"""What the original service (up to 0.4.4) left behind: its jobs and history, read from its file and taken over.

They keep their ids and times, `original` as who did it, and numbers below zero: they come before everything that
happened here, and no reader of the live feed takes them for news. Taken over twice, they are there once.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from model_manager.commands.weights import hub_entry
from model_manager.errors import InvalidRequest
from model_manager.events import LAST_SECOND, Event, EventLog, timestamp
from model_manager.jobs import table
from model_manager.jobs.job import Job
from model_manager.state import past
from model_manager.state.bolt import read_bolt
from model_manager.state.database import Transaction
from model_manager.weights.job import install_payload
from model_manager.weights.names import check_folder
from model_manager.weights.uri import flattened

ORIGINAL = "original"
"""Who did what is taken over, where else the name of a token stands."""

JobId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}(?![\s\S])")]  # it becomes the name of a log
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}(?![\s\S])")]
Moment = Annotated[datetime, Meta(tz=True)]

LARGEST_RECORD = 2**19
"""Bytes of a record that is taken, so that it fits into a request to a running service. The original's are small."""

DEEPEST = 20
"""Lists and objects within each other in a record; the original's have two. One without an end could not be shown."""


class OriginalPayload(Struct, rename="camel"):
    hf_model_id: str = ""
    revision: str = ""
    target: str = ""


class OriginalJob(Struct, rename="camel"):
    """A job as the original stored it. It knew one type, `weight_install`, and had none cancelled before 0.5."""

    id: JobId
    type: Word
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    created_at: Moment
    updated_at: Moment
    payload: OriginalPayload = msgspec.field(default_factory=OriginalPayload)
    result: dict[str, Any] | None = None
    error: str = ""

    def __post_init__(self) -> None:
        _refuse_deep(self.result)


class OriginalEvent(Struct, rename="camel"):
    """A line of the original's history. `id` is a number of nanoseconds, or the event and the job it is about."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,200}(?![\s\S])")]
    event: Word
    created_at: Moment
    model_id: str | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _refuse_deep(self.metadata)


def _refuse_deep(value: Any, levels: int = DEEPEST) -> None:
    """Raises ValueError, in whose place msgspec raises its own."""
    if isinstance(value, dict | list):
        if levels == 0:
            raise ValueError(f"Nested more than {DEEPEST} deep")
        for one in value.values() if isinstance(value, dict) else value:
            _refuse_deep(one, levels - 1)


class Original(Struct):
    """All that was read; `unreadable` names what is none of the original's records, as bucket and key."""

    jobs: list[OriginalJob]
    events: list[OriginalEvent]
    unreadable: list[str]


class TakenOver(Struct, rename="camel"):
    """How many were new here; `known` is how many were there already."""

    jobs: int
    events: int
    known: int


def read_original(path: Path) -> Original:
    """The jobs and the history in the original's file, which is not changed. Raises what `read_bolt` does, and
    InvalidRequest for a BoltDB file of some other program.
    """
    buckets = read_bolt(path)
    jobs, history = buckets.get(b"jobs"), buckets.get(b"history")
    if not isinstance(jobs, dict) or not isinstance(history, dict):
        raise InvalidRequest(
            f"{path} is a BoltDB file, but not the original's: it has no buckets `jobs` and `history`.",
            "The original kept its own as STATE_PATH/state.db.",
        )
    found = Original([], [], [])
    for key, value in jobs.items():
        _take(OriginalJob, "jobs", key, value, found.jobs, found.unreadable)
    for key, value in history.items():
        _take(OriginalEvent, "history", key, value, found.events, found.unreadable)
    return found


def _take(
    kind: type[Any], bucket: str, key: bytes, value: Any, into: list[Any], unreadable: list[str]
) -> None:
    record = None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):  # the last: a bucket
        if len(value) <= LARGEST_RECORD:
            record = msgspec.json.decode(value, type=kind)
    if record is None:
        unreadable.append(f"{bucket}/{repr(key)[2:-1]}")
    else:
        into.append(record)


def take_over(
    txn: Transaction, events: EventLog, jobs: Sequence[OriginalJob], history: Sequence[OriginalEvent],
    file: str, actor: str,
) -> TakenOver:  # fmt: skip
    """Add the jobs and events that are not there yet, and an event that says so; `file` is where they are from."""
    wanted_jobs = {one.id: one for one in jobs}
    wanted_events = {one.id: one for one in history}
    known_jobs = {row["id"] for row in txn.execute("SELECT id FROM jobs")}
    known_events = {
        row[0]
        for row in txn.execute("SELECT data ->> '$.originalId' FROM events WHERE actor = ?", (ORIGINAL,))
    }
    new_jobs = [_job(one) for name, one in wanted_jobs.items() if name not in known_jobs]
    new_events = [_event(one, file) for name, one in wanted_events.items() if name not in known_events]
    table.insert_past(txn, new_jobs)
    events.append_past(txn, new_events)
    known = len(jobs) + len(history) - len(new_jobs) - len(new_events)
    done = TakenOver(len(new_jobs), len(new_events), known)
    if new_jobs or new_events:
        data = {"file": file, "jobs": done.jobs, "events": done.events}
        events.append(txn, "state_imported", "service", data, actor)
    return done


def _job(old: OriginalJob) -> Job:
    """A job as this version stores it: one that did not end has failed, since nobody works on it any more.

    Its payload is complete, so that a failed one can be retried here.
    """
    status, error = old.status, {"code": "original", "sentence": old.error, "hint": ""} if old.error else None
    if old.status in ("pending", "running"):
        status = "failed"
        error = {
            "code": "interrupted",
            "sentence": f"The original service ended while this job was {old.status}.",
            "hint": f"`model-manager jobs retry {old.id}` installs it here.",
        }
    told = old.payload
    entry = hub_entry(told.hf_model_id, told.revision or None)
    folder = _folder(told)
    return Job(
        id=old.id,
        kind=old.type,
        key=folder,
        status=status,
        payload=install_payload(entry, "", folder, ORIGINAL),
        actor=ORIGINAL,
        created_at=_stamp(old.created_at),
        updated_at=_stamp(old.updated_at),
        result=old.result,
        error=error,
        attempts=0 if old.status == "pending" else 1,
    )


def _folder(told: OriginalPayload) -> str:
    """Where it put the weights, if we would. It took any target, also one that leads out of the volume."""
    for name in (told.target, flattened(told.hf_model_id)):
        with suppress(InvalidRequest):
            return check_folder(name)
    return ""


def _event(old: OriginalEvent, file: str) -> Event:
    """An event as this version stores it: what was told of it lies below `result`, where it can hide nothing else."""
    data: dict[str, Any] = {"importedFrom": PurePath(file).name, "originalId": old.id}
    if old.model_id:
        data["modelId"] = old.model_id
    if old.event.startswith("weight_install_"):
        data["jobId"] = old.id.removeprefix(f"{old.event}-")
    if old.metadata:
        data["result"] = old.metadata
    return Event(past.UNPLACED, _stamp(old.created_at), old.event, old.model_id or "", ORIGINAL, data)


def _stamp(moment: datetime) -> str:
    return timestamp(min(max(0.0, moment.timestamp()), LAST_SECOND))
