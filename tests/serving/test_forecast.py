"""Forecasts, as tables."""

from typing import Any

import pytest

from model_manager.serving.activation import Phase
from model_manager.serving.forecast import Forecast, Known, Load, Transition, forecast, loads

OWN = (Load("a", "3", None, 12.0), Load("a", "2", 4.0, 10.0), Load("a", "1", 6.0, 20.0))
OTHER = (Load("b", "9", 3.0, 8.0),)

CASES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    (
        "nothing is known",
        {},
        {
            "seconds": None,
            "install_seconds": 0.0,
            "start_seconds": None,
            "downtime_seconds": 0.0,
            "based_on": 0,
        },
    ),
    (
        "its own loads: the median; nothing is replaced, so nothing is down",
        {"loads": OWN},
        {"seconds": 12.0, "start_seconds": 12.0, "stop_seconds": 0.0, "downtime_seconds": 0.0, "based_on": 3},
    ),
    (
        "a switch: the old model's stop comes first, and both are downtime",
        {"loads": OWN, "replaces": True},
        {"seconds": 17.0, "stop_seconds": 5.0, "downtime_seconds": 17.0},
    ),
    (
        "a first switch: the stop is left out",
        {"loads": OWN[:1], "replaces": True},
        {"seconds": 12.0, "stop_seconds": 0.0, "downtime_seconds": 12.0, "based_on": 1},
    ),
    (
        "weights to fetch: they come before the switch, and the old model serves meanwhile",
        {"loads": OWN, "replaces": True, "fetch": 1000, "rates": (100.0, 50.0, 200.0)},
        {"seconds": 27.0, "bytes_to_fetch": 1000, "install_seconds": 10.0, "downtime_seconds": 17.0},
    ),
    (
        "an install under way knows better",
        {"loads": OWN, "fetch": 1000, "rates": (1.0,), "fetch_seconds": 3.0},
        {"seconds": 15.0, "install_seconds": 3.0},
    ),
    (
        "bytes without a rate",
        {"loads": OWN, "fetch": 1000},
        {"seconds": None, "bytes_to_fetch": 1000, "install_seconds": None, "start_seconds": 12.0},
    ),
    (
        "unknown bytes",
        {"loads": OWN, "fetch": None, "rates": (100.0,), "replaces": True},
        {"seconds": None, "bytes_to_fetch": None, "install_seconds": None, "downtime_seconds": 17.0},
    ),
    (
        "only others loaded: scaled by size",
        {"loads": OTHER, "sizes": {"a": 300, "b": 100}},
        {"seconds": 24.0, "start_seconds": 24.0, "based_on": 1},
    ),
    (
        "its own load wins over others'",
        {"loads": OTHER + OWN, "sizes": {"a": 300, "b": 100}},
        {"start_seconds": 12.0, "based_on": 3},
    ),
    (
        "another of quite another size says nothing",
        {"loads": OTHER, "sizes": {"a": 1001, "b": 100}},
        {"seconds": None, "based_on": 0},
    ),
    (
        "another whose size is not known says nothing",
        {"loads": OTHER, "sizes": {"a": 300}},
        {"seconds": None, "based_on": 0},
    ),
    (
        "the latest count, not the oldest",
        {"loads": (*[Load("a", "x", None, 2.0)] * 5, *[Load("a", "y", None, 90.0)] * 20)},
        {"seconds": 2.0, "based_on": 5},
    ),
)


@pytest.mark.parametrize(("given", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_forecast(given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = forecast(Known("a", **given))
    assert {name: getattr(found, name) for name in expected} == expected


def test_what_is_left_out_is_said() -> None:
    assert notes(fetch=None) == ["How many bytes", "Neither this model"]
    assert notes(fetch=5) == ["Nothing was installed", "Neither this model"]
    assert notes(loads=OWN[:1], replaces=True) == ["No model was"]
    assert notes(loads=OTHER, sizes={"a": 1, "b": 1}) == ["This model was"]
    assert notes(loads=OWN) == []


def notes(**given: Any) -> list[str]:
    found: Forecast = forecast(Known("a", **given))
    return [" ".join(note.split(":")[0].split()[:3]) for note in found.notes]


SWITCH: tuple[tuple[Phase, float], ...] = (
    ("queued", 0), ("stopping", 10), ("starting", 12), ("verifying", 15), ("active", 15.5)
)  # fmt: skip


def transitions(activation: str, *phases: tuple[Phase, float]) -> list[Transition]:
    return [Transition(activation, f"model of {activation}", phase, at) for phase, at in phases]


def test_loads_are_read_from_the_phases_latest_first() -> None:
    empty_slot = transitions("two", ("starting", 20), ("verifying", 21), ("active", 22.5))
    assert loads(transitions("one", *SWITCH) + empty_slot) == [
        Load("model of two", "two", None, 2.5),
        Load("model of one", "one", 2.0, 3.5),
    ]


LOADLESS: tuple[tuple[str, list[Transition]], ...] = (
    ("still on its way", transitions("one", *SWITCH[:-1])),
    ("its beginning was pruned", transitions("one", *SWITCH[-2:])),
    ("the clock went back", transitions("one", ("starting", 30), ("active", 5))),
    ("the clock went back before", transitions("one", ("stopping", 30), ("starting", 20), ("active", 25))),
)


@pytest.mark.parametrize("given", [case[1] for case in LOADLESS], ids=[case[0] for case in LOADLESS])
def test_what_is_no_load(given: list[Transition]) -> None:
    assert loads(given) == []


def test_a_model_that_is_started_again_is_a_load_of_its_own() -> None:
    again: tuple[tuple[Phase, float], ...] = (("starting", 50), ("active", 54))
    assert [(load.stop, load.start) for load in loads(transitions("one", *SWITCH, *again))] == [
        (None, 4),
        (2, 3.5),
    ]


def test_two_slots_at_once_do_not_mix() -> None:
    one, two = (
        transitions("one", ("starting", 0), ("active", 9)),
        transitions("two", ("starting", 1), ("active", 3)),
    )
    mixed = sorted(one + two, key=lambda one: one.at)
    assert [(load.activation, load.start) for load in loads(mixed)] == [("one", 9), ("two", 2)]
