"""A job that has ended, as traces tell it."""

from datetime import datetime

from model_manager.jobs.job import Job
from model_manager.tracing import Span


def span_of(job: Job) -> Span:
    """From when it was asked for until its end, waiting and all attempts included."""
    began, ended = (datetime.fromisoformat(moment).timestamp() for moment in (job.created_at, job.updated_at))
    attributes: dict[str, str | int] = {
        "model_manager.job": job.id,
        "model_manager.job.status": job.status,
        "model_manager.job.attempts": job.attempts,
    }
    error = str((job.error or {}).get("code", job.status)) if job.status != "completed" else ""
    return Span(f"job {job.kind}", began, max(0.0, ended - began), attributes, error)
