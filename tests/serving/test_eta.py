"""When a slot's loop expects its model: told at the beginning of a phase, and kept until the next."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from model_manager.serving.forecaster import Eta
from model_manager.serving.platform import Observed
from model_manager.serving.targets import Coming


class Forecaster:
    """Says what it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.says: float | None = 60.0
        self.asked: list[tuple[str, bool]] = []

    async def left(self, row: Any, *, replaces: bool) -> float | None:
        self.asked.append((row.phase, replaces))
        if self.says is not None and self.says < 0:
            raise RuntimeError("no forecast")
        return self.says


async def expected(eta: Eta, phase: str, activation: str = "one", replaces: bool = False) -> float | None:
    row: Any = SimpleNamespace(id=activation, phase=phase, model_id="m")
    at = await eta.ready_at(row, replaces=replaces)
    return None if at is None else round(at - time.monotonic())


async def coming(eta: Eta, phase: str, result: str | None = None, serves: bool = False) -> Coming | None:
    entry = SimpleNamespace(served_name="acme/m", aliases=("nick",))
    row: Any = SimpleNamespace(id="one", phase=phase, result=result, model_id="m", entry=entry)
    return await eta.coming(row, Observed("another"), serves=serves)


@pytest.fixture
def forecaster() -> Forecaster:
    return Forecaster()


@pytest.fixture
def eta(forecaster: Forecaster) -> Eta:
    told: Any = forecaster
    return Eta(told)


async def test_a_promise_is_kept_through_its_phase(eta: Eta, forecaster: Forecaster) -> None:
    assert await expected(eta, "stopping", replaces=True) == 60
    forecaster.says = 5.0
    assert await expected(eta, "stopping") == 60
    assert await expected(eta, "starting") == 5
    forecaster.says = 300.0
    assert await expected(eta, "verifying") == 5, "verification was part of the start"
    assert await expected(eta, "starting", "two") == 300
    assert forecaster.asked == [("stopping", True), ("starting", False), ("starting", False)]


async def test_an_install_is_asked_at_each_look(eta: Eta, forecaster: Forecaster) -> None:
    for seconds in (60.0, 20.0, None):
        forecaster.says = seconds
        assert await expected(eta, "installing") == seconds


async def test_what_starts_again_after_it_served_is_told_anew(eta: Eta, forecaster: Forecaster) -> None:
    assert await expected(eta, "starting") == 60
    served = await coming(eta, "active", serves=True)
    assert served is not None
    assert served.ready_at is None
    forecaster.says = 9.0
    assert await expected(eta, "active") == 9


async def test_what_the_gateway_is_told(eta: Eta, forecaster: Forecaster) -> None:
    told = await coming(eta, "stopping")
    assert told is not None
    assert (told.names, told.phase) == ({"m", "acme/m", "nick"}, "stopping")
    assert told.ready_at is not None
    assert forecaster.asked == [("stopping", True)]
    again = await coming(eta, "active")
    assert again is not None and again.phase == "starting"
    assert await coming(eta, "failed", result="failed") is None
    assert await eta.coming(None, Observed(), serves=False) is None


async def test_a_failure_is_no_promise_and_is_not_asked_for_again(eta: Eta, forecaster: Forecaster) -> None:
    forecaster.says = -1.0
    assert await expected(eta, "starting") is None
    assert await expected(eta, "starting") is None
    assert len(forecaster.asked) == 1
