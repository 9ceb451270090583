"""Rows of the jobs table and back. Every function works on the connection or transaction it is given."""

from collections.abc import Iterator, Mapping, Sequence
from sqlite3 import Cursor, Row
from typing import Any, Protocol

import msgspec

from model_manager.jobs.job import Job, JobStatus
from model_manager.state import past
from model_manager.state.database import Transaction


class Executes(Protocol):
    """A `Transaction`, or a connection that only reads."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Cursor: ...


def find(source: Executes, job_id: str) -> Job | None:
    """The job with this id."""
    return next(_jobs(source.execute("SELECT * FROM jobs WHERE id = ?", (job_id,))), None)


def find_unfinished(source: Executes, kind: str, key: str) -> Job | None:
    """The pending or running job of this kind and key; the table holds one at most."""
    sql = "SELECT * FROM jobs WHERE kind = ? AND key = ? AND status IN ('pending', 'running')"
    return next(_jobs(source.execute(sql, (kind, key))), None)


def with_status(source: Executes, status: JobStatus) -> Iterator[Job]:
    """All jobs with this status, oldest first."""
    return _jobs(source.execute("SELECT * FROM jobs WHERE status = ? ORDER BY seq", (status,)))


def newest(
    source: Executes, limit: int, status: JobStatus | None, kind: str | None, before: int | None
) -> list[Job]:
    """Jobs, newest first; `before`: only those whose `seq` is smaller."""
    sql = (
        "SELECT * FROM jobs WHERE status = ifnull(?, status) AND kind = ifnull(?, kind) AND seq < ifnull(?, seq + 1)"
        " ORDER BY seq DESC LIMIT ?"
    )
    return list(_jobs(source.execute(sql, (status, kind, before, limit))))


def insert(source: Executes, job: Job) -> None:
    """Add a new job at the end of the order."""
    _insert(source, _row(job))


def insert_past(txn: Transaction, jobs: Sequence[Job]) -> None:
    """Add ended jobs from before this state began, each in its place by the time it was made."""
    for seq, job in enumerate(sorted(jobs, key=lambda job: (job.created_at, job.id)), past.UNPLACED):
        _insert(txn, {"seq": seq, **_row(job)})
    past.place(txn, "jobs", "created_at")


def _insert(source: Executes, row: Mapping[str, Any]) -> None:
    source.execute(
        f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row
    )


def update(source: Executes, job: Job) -> None:
    """Write all that may have changed of a job."""
    row = _row(job)
    source.execute(f"UPDATE jobs SET {', '.join(f'{name} = :{name}' for name in row)} WHERE id = :id", row)


def forget_old(source: Executes, keep: int) -> None:
    """Remove ended jobs beyond the newest `keep`."""
    source.execute(
        "DELETE FROM jobs WHERE status IN ('completed', 'failed', 'cancelled') AND seq NOT IN "
        "(SELECT seq FROM jobs ORDER BY seq DESC LIMIT ?)",
        (keep,),
    )


def _row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "key": job.key,
        "status": job.status,
        "payload": _json(job.payload),
        "result": _json(job.result),
        "error": _json(job.error),
        "attempts": job.attempts,
        "crashes": job.crashes,
        "cancelling": job.cancelling,
        "actor": job.actor,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


def _jobs(rows: Cursor) -> Iterator[Job]:
    return map(_job, rows)


def _job(row: Row) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        key=row["key"],
        status=row["status"],
        payload=msgspec.json.decode(row["payload"]),
        result=row["result"] and msgspec.json.decode(row["result"]),
        error=row["error"] and msgspec.json.decode(row["error"]),
        attempts=row["attempts"],
        crashes=row["crashes"],
        cancelling=bool(row["cancelling"]),
        actor=row["actor"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        seq=row["seq"],
    )


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
