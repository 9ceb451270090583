"""`/jobs`: long work, how far it is, and why it failed."""

from typing import Any

from msgspec import Struct

from model_manager.commands import Parts
from model_manager.http.routing import Request, Route
from model_manager.jobs.job import Job, JobStatus
from model_manager.web.paging import Paged, Tail, page, sequence


class JobsQuery(Paged):
    status: JobStatus | None = None
    type: str | None = None


class JobPayload(Struct, rename="camel"):
    """What the job is about; "" is what was not asked for, as in the original."""

    model_id: str
    hf_model_id: str
    revision: str
    target: str
    overwrite: bool


class JobProgress(Struct, rename="camel"):
    """`rate` in bytes per second; `eta` in seconds, when it can be told."""

    bytes_done: int
    bytes_total: int | None
    rate: float | None
    eta: float | None
    file: str | None


class JobView(Struct, rename="camel"):
    """A job. `error`, `error_code` and `hint` say why the latest attempt failed; `progress` is there while it runs."""

    id: str
    type: str
    key: str
    status: JobStatus
    cancelling: bool
    payload: JobPayload
    progress: JobProgress | None
    result: dict[str, Any] | None
    error: str | None
    error_code: str | None
    hint: str | None
    attempts: int
    crashes: int
    actor: str
    created_at: str
    updated_at: str


class JobList(Struct, rename="camel"):
    """`next` is the cursor of the following page, null on the last one."""

    jobs: list[JobView]
    next: str | None = None


class JobLog(Struct, rename="camel"):
    job_id: str
    lines: list[str]


async def list_jobs(parts: Parts, query: JobsQuery) -> JobList:
    """Jobs, newest first."""
    before = sequence(query.cursor, "jobs")
    found = await parts.jobs.list(limit=query.limit + 1, status=query.status, kind=query.type, before=before)
    shown, following = page(found, query.limit, "jobs", lambda job: job.seq)
    return JobList([job_view(job) for job in shown], following)


async def get_job(parts: Parts, job_id: str) -> JobView:
    """One job."""
    return job_view(await parts.jobs.get(job_id))


async def cancel_job(parts: Parts, job_id: str, request: Request) -> JobView:
    """Cancel a job; what it has staged is cleaned up."""
    return job_view(await parts.jobs.cancel(job_id, request.actor))


async def retry_job(parts: Parts, job_id: str, request: Request) -> JobView:
    """Run a failed or cancelled job again."""
    return job_view(await parts.jobs.retry(job_id, request.actor))


async def job_log(parts: Parts, job_id: str, query: Tail) -> JobLog:
    """The last lines that a job's worker logged, oldest first."""
    return JobLog(job_id, await parts.jobs.log(job_id, query.lines))


def job_view(job: Job) -> JobView:
    error = job.error or {}
    return JobView(
        id=job.id,
        type=job.kind,
        key=job.key,
        status=job.status,
        cancelling=job.cancelling,
        payload=_payload(job),
        progress=job_progress(job.progress) if job.progress else None,
        result=job.result,
        error=error.get("sentence"),
        error_code=error.get("code"),
        hint=error.get("hint"),
        attempts=job.attempts,
        crashes=job.crashes,
        actor=job.actor,
        created_at=job.created_at,
        updated_at=job.updated_at,
    )


def _payload(job: Job) -> JobPayload:
    told = job.payload.get
    return JobPayload(
        model_id=told("modelId") or "",
        hf_model_id=told("hfModelId") or "",
        revision=told("revision") or "",
        target=told("folder") or "",
        overwrite=told("overwrite", False),
    )


def job_progress(progress: dict[str, Any]) -> JobProgress:
    """A worker's own figures as the API shows them."""
    told = progress.get
    return JobProgress(told("bytes_done", 0), told("bytes_total"), told("rate"), told("eta"), told("file"))


ROUTES = (
    Route("GET", "/jobs", list_jobs),
    Route("GET", "/jobs/{job_id}", get_job),
    Route("POST", "/jobs/{job_id}/cancel", cancel_job),
    Route("POST", "/jobs/{job_id}/retry", retry_job),
    Route("GET", "/jobs/{job_id}/logs", job_log),
)
