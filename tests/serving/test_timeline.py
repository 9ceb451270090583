"""Which phases an activation passed, and for how long, as its loop sees them."""

import time

import pytest

from model_manager.serving.timeline import PhaseTimer, Timeline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock's only value; the other clock jumps back an hour whenever it is asked."""
    now, wall = [100.0], iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: float(next(wall)))
    return now


def test_phases_are_timed_by_a_clock_that_does_not_jump(clock: list[float]) -> None:
    told: list[Timeline] = []
    timer = PhaseTimer("main", told.append)
    for phase, seconds in (
        ("queued", 1),
        ("queued", 2),
        ("installing", 60),
        ("starting", 5),
        ("starting", 5),
    ):
        timer.see("a1", "demo", phase)
        clock[0] += seconds
    timer.end("active")
    (timeline,) = told
    assert (timeline.slot, timeline.activation, timeline.model_id, timeline.result) == (
        "main",
        "a1",
        "demo",
        "active",
    )
    assert [(one.phase, one.seconds) for one in timeline.phases] == [
        ("queued", 3), ("installing", 60), ("starting", 10)
    ]  # fmt: skip
    span = timeline.span()
    assert (span.seconds, span.error) == (73, "")
    assert [part.name for part in span.parts] == ["queued", "installing", "starting"]


def test_another_attempt_ends_the_one_before(clock: list[float]) -> None:
    told: list[Timeline] = []
    timer = PhaseTimer("main", told.append)
    timer.see("a1", "demo", "queued")
    timer.see("a2", "other", "queued")
    timer.end("failed")
    assert [(one.activation, one.result) for one in told] == [("a1", "overtaken"), ("a2", "failed")]
    assert [one.span().error for one in told] == ["overtaken", "failed"]


def test_nothing_under_way_is_nothing_to_tell(clock: list[float]) -> None:
    told: list[Timeline] = []
    PhaseTimer("main", told.append).end("failed")
    assert told == []
