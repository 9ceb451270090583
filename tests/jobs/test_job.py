"""What becomes of a job: tables."""

import pytest
from msgspec.structs import replace

from model_manager.jobs.job import Halt, Job, Outcome, after_attempt, after_crash, retry_delay

RUNNING = Job("1", "test", "k", "running", {}, "me", "then", "then", attempts=1)
ERROR = {"code": "c", "sentence": "s", "hint": "h"}
DONE, FAILED, AGAIN, NOTHING = (
    Outcome(result={}),
    Outcome(error=ERROR),
    Outcome(error=ERROR, retryable=True),
    Outcome(),
)


@pytest.mark.parametrize(
    ("attempts", "outcome", "halt", "status", "attempts_after", "error"),
    [
        (1, DONE, None, "completed", 1, None),
        (1, DONE, "cancel", "completed", 1, None),
        (1, DONE, "stop", "completed", 1, None),
        (1, FAILED, None, "failed", 1, ERROR),
        (1, AGAIN, None, "pending", 1, ERROR),
        (2, AGAIN, None, "pending", 2, ERROR),
        (3, AGAIN, None, "failed", 3, ERROR),
        (1, AGAIN, "cancel", "cancelled", 1, None),
        (1, FAILED, "cancel", "cancelled", 1, None),
        (1, NOTHING, "cancel", "cancelled", 1, None),
        (1, NOTHING, "stop", "pending", 0, None),
        (3, AGAIN, "stop", "pending", 2, None),
    ],
)
def test_after_an_attempt(
    attempts: int, outcome: Outcome, halt: Halt | None, status: str, attempts_after: int, error: object
) -> None:
    after = after_attempt(replace(RUNNING, attempts=attempts), outcome, halt, max_attempts=3)
    assert (after.status, after.attempts, after.error) == (status, attempts_after, error)


def test_a_cancel_that_was_written_down_counts_like_one_that_was_heard() -> None:
    assert after_attempt(replace(RUNNING, cancelling=True), AGAIN, None, 3).status == "cancelled"


@pytest.mark.parametrize(
    ("crashes", "cancelling", "status"),
    [(0, False, "pending"), (1, False, "pending"), (2, False, "failed"), (0, True, "cancelled")],
)
def test_c5_after_a_crash_of_the_service(crashes: int, cancelling: bool, status: str) -> None:
    after = after_crash(replace(RUNNING, crashes=crashes, cancelling=cancelling))
    assert (after.status, after.crashes) == (status, crashes + 1)
    assert (after.error or {}).get("code") == ("set_aside" if status == "failed" else None)


def test_retries_wait_longer_each_time_up_to_a_minute() -> None:
    assert [retry_delay(attempts) for attempts in (1, 2, 3, 7, 60)] == [1, 2, 4, 60, 60]
