"""What every benchmark reports: figures, each beside the reference of the same run and its goal."""

import statistics
import sys
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct


class Spread(Struct):
    """Of `n` runs, in the figure's unit."""

    n: int
    min: float
    median: float
    max: float


class Figure(Struct, omit_defaults=True):
    """One measured thing. `value` is what the goal speaks of: the ratio to the reference, or a measured number."""

    name: str
    unit: str
    measured: Spread
    value: float
    value_of: Literal["ratio", "median", "max", "min"]
    reference: Spread | None = None
    reference_name: str = ""
    ratio: float | None = None
    goal: float | None = None
    at_least: bool = False
    """The goal is a lower bound: rates, not times."""
    facts: dict[str, Any] = {}

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def spread(values: Sequence[float]) -> Spread:
    found = sorted(values)
    ends = found[0], statistics.median(found), found[-1]
    return Spread(len(found), *(_rounded(value) for value in ends))


def figure(
    name: str,
    unit: str,
    measured: Sequence[float],
    reference: Sequence[float] | None = None,
    *,
    of: Literal["ratio", "median", "max", "min"] = "ratio",
    reference_name: str = "",
    goal: float | None = None,
    at_least: bool = False,
    facts: dict[str, Any] | None = None,
) -> Figure:
    """A figure of all runs; the ratio is that of the medians."""
    ours, theirs = spread(measured), None if reference is None else spread(reference)
    ratio = None
    if reference is not None:
        ratio = _rounded(statistics.median(measured) / statistics.median(reference))
    value = ratio if of == "ratio" else getattr(ours, of)
    if value is None:
        raise ValueError(f"{name}: a ratio needs a reference")
    return Figure(
        name, unit, ours, value, of, theirs, reference_name, ratio, goal, at_least, facts or {}
    )  # fmt: skip


def _rounded(value: float) -> float:
    """Three digits that mean something, all of those before the point."""
    return round(value, 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3)


def report(figures: Sequence[Figure]) -> None:
    """Hand the figures to the runner (and to whoever reads along)."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
