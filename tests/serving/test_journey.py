"""Which phases an activation passed, and for how long, as its loop sees them."""

import time

import pytest

from model_manager.serving.journey import Journey, Travel


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock's only value; the other clock jumps back an hour whenever it is asked."""
    now, wall = [100.0], iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: float(next(wall)))
    return now


def test_phases_are_timed_by_a_clock_that_does_not_jump(clock: list[float]) -> None:
    told: list[Journey] = []
    travel = Travel("main", told.append)
    for phase, seconds in (
        ("queued", 1),
        ("queued", 2),
        ("installing", 60),
        ("starting", 5),
        ("starting", 5),
    ):
        travel.see("a1", "demo", phase)
        clock[0] += seconds
    travel.end("active")
    (journey,) = told
    assert (journey.slot, journey.activation, journey.model_id, journey.result) == (
        "main",
        "a1",
        "demo",
        "active",
    )
    assert [(one.phase, one.seconds) for one in journey.phases] == [
        ("queued", 3), ("installing", 60), ("starting", 10)
    ]  # fmt: skip
    work = journey.work()
    assert (work.seconds, work.error) == (73, "")
    assert [part.name for part in work.parts] == ["queued", "installing", "starting"]


def test_another_attempt_ends_the_one_before(clock: list[float]) -> None:
    told: list[Journey] = []
    travel = Travel("main", told.append)
    travel.see("a1", "demo", "queued")
    travel.see("a2", "other", "queued")
    travel.end("failed")
    assert [(one.activation, one.result) for one in told] == [("a1", "overtaken"), ("a2", "failed")]
    assert [one.work().error for one in told] == ["overtaken", "failed"]


def test_nothing_under_way_is_nothing_to_tell(clock: list[float]) -> None:
    told: list[Journey] = []
    Travel("main", told.append).end("failed")
    assert told == []
