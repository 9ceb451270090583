"""The shapes of numbers: a count and a histogram, each by labels, and a gauge that was read just now."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds: prometheus-client's, and on to the minutes of a long generation."""

UNMATCHED = "unmatched"
"""The path of requests no route matched: what strangers ask for must not grow the table."""

Labels = tuple[str, ...]
"""The values of a family's labels, in the order of their names."""


class Gauge(NamedTuple):
    """A value that goes up and down, as it was read for this scrape: one number for each combination of labels.

    `counter`: it only ever grows, and is kept elsewhere (a sequence number in the state file).
    """

    name: str
    help: str
    values: Mapping[Labels, float]
    labels: Labels = ()
    counter: bool = False


class Tally:
    """One number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Counter:
    """How often something happened, or how much of it there was, by labels."""

    def __init__(self, name: str, help: str, *labels: str) -> None:  # noqa: A002
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[Labels, Tally] = {}

    def of(self, *labels: str) -> Tally:
        """The number under these labels, to be kept by who counts often."""
        return self.values.setdefault(labels, Tally())

    def total(self) -> int:
        return sum(tally.value for tally in self.values.values())


class Durations:
    """How many in each bucket (the last is beyond all bounds), and their sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, how many took no longer), as Prometheus wants them."""
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        running, pairs = 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            running += count
            pairs.append((bound, float(running)))
        return pairs


class Histogram:
    """Durations by labels."""

    def __init__(self, name: str, help: str, *labels: str) -> None:  # noqa: A002
        self.name, self.help, self.labels = name, help, labels
        self.values: dict[Labels, Durations] = {}

    def of(self, *labels: str) -> Durations:
        return self.values.setdefault(labels, Durations())

    def counts(self) -> list[int]:
        """How many in each bucket, whatever their labels."""
        none = [0] * (len(BUCKETS) + 1)
        return [
            sum(bucket) for bucket in zip(none, *(one.counts for one in self.values.values()), strict=True)
        ]
