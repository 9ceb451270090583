"""What a job is, and what becomes of it when an attempt ends. Pure: no I/O, no clock."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

JobStatus = Literal["pending", "running", "completed", "failed", "cancelled"]

ENDED: frozenset[JobStatus] = frozenset(("completed", "failed", "cancelled"))

MAX_CRASHES = 3
"""Deaths of the service with this job running after which the job is set aside."""


class Job(Struct, frozen=True):
    """One piece of long work. `kind` and `key` say what it is: unfinished, there is one at most of each.

    `attempts` counts starts, `crashes` deaths of the service meanwhile. `error` is {code, sentence, hint}.
    `progress` is transient: bytes_done, bytes_total, rate (bytes/s), eta (s or None), file.
    `seq` is its place in the order of all jobs, 0 before it was stored.
    """

    id: str
    kind: str
    key: str
    status: JobStatus
    payload: dict[str, Any]
    actor: str
    created_at: str
    updated_at: str
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    attempts: int = 0
    crashes: int = 0
    cancelling: bool = False
    progress: dict[str, Any] | None = None
    seq: int = 0

    @property
    def ended(self) -> bool:
        """Nothing more will happen unless someone retries it."""
        return self.status in ENDED


class WorkerSpec(Struct, frozen=True):
    """How a kind of job is done: `python -m <module>` gets the message that `prepare` makes of the payload.

    `prepare` runs at each start and may add secrets, which the payload never holds; what it raises fails the job.
    `cleanup` runs when an attempt left without a result, its worker gone: a killed one cannot tidy up itself.
    """

    module: str
    prepare: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    max_attempts: int = 3
    cleanup: Callable[[dict[str, Any]], Awaitable[None]] | None = None


class Outcome(Struct, frozen=True):
    """How an attempt ended: a result, or an error {code, sentence, hint}, or neither (it was stopped)."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    retryable: bool = False

    @classmethod
    def failed(cls, code: str, sentence: str, hint: str = "", *, retryable: bool = False) -> "Outcome":
        """One that ended with an error; `retryable`: another attempt may go better."""
        return cls(error={"code": code, "sentence": sentence, "hint": hint}, retryable=retryable)


Halt = Literal["cancel", "stop"]
"""Why an attempt was ended from outside: someone cancelled the job, or the service stops."""


def after_attempt(job: Job, outcome: Outcome, halt: Halt | None, max_attempts: int) -> Job:
    """The running job as it is after an attempt. A result counts even when a cancel came just too late."""
    if outcome.result is not None:
        return replace(job, status="completed", result=outcome.result, error=None)
    if halt == "cancel" or job.cancelling:
        return replace(job, status="cancelled", error=None)
    if halt == "stop":
        return replace(job, status="pending", attempts=job.attempts - 1)
    if outcome.retryable and job.attempts < max_attempts:
        return replace(job, status="pending", error=outcome.error)
    return replace(job, status="failed", error=outcome.error)


def after_crash(job: Job) -> Job:
    """The job as it is when the service starts and finds it running: its worker is gone."""
    crashes = job.crashes + 1
    if job.cancelling:
        return replace(job, status="cancelled", crashes=crashes)
    if crashes < MAX_CRASHES:
        return replace(job, status="pending", crashes=crashes)
    error = {
        "code": "set_aside",
        "sentence": f"The service died {crashes} times while this job ran, so the job was set aside.",
        "hint": "Look for the cause (memory?) in the service's log, then retry the job.",
    }
    return replace(job, status="failed", crashes=crashes, error=error)


def retry_delay(attempts: int) -> float:
    """Seconds to wait after this many attempts: 1, 2, 4, … 60."""
    return float(min(60, 2 ** max(0, attempts - 1)))
