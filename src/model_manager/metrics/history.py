"""The last hours of the service in a few numbers, kept in memory: for a page to draw, where no Prometheus is.

A sample each 30 s for 6 h: 720 of about 700 bytes, half a megabyte, whatever happens, and 8 bytes a slot and sample.
"""

from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct

from model_manager.metrics.counting import Metrics
from model_manager.metrics.families import BUCKETS

SAMPLE_SECONDS = 30
KEEP_SECONDS = 6 * 3600


class Levels(Struct, frozen=True, rename="camel"):
    """What is read for a sample. Sizes in bytes."""

    in_flight: float
    jobs_running: float
    weights_bytes: float
    disk_available_bytes: float
    memory_bytes: float


class Sample(Levels, frozen=True, rename="camel"):
    """Levels, and rates: a second, since the sample before. Quantiles are None where nobody asked a model.

    `time` in seconds since the epoch; `slots` are states, in the order of the slots.
    """

    time: float
    slots: tuple[str, ...]
    requests_per_second: float
    errors_per_second: float
    gateway_requests_per_second: float
    gateway_tokens_per_second: float
    gateway_p50_seconds: float | None
    gateway_p95_seconds: float | None


NUMBERS = tuple(field.name for field in msgspec.structs.fields(Sample) if field.name not in ("time", "slots"))


class _Totals(Struct, frozen=True):
    """Where the counters stood."""

    time: float
    requests: int
    errors: int
    gateway: int
    tokens: int
    buckets: list[int]


class History:
    """The samples, oldest first."""

    def __init__(self) -> None:
        self._before: _Totals | None = None
        self._samples: deque[Sample] = deque(maxlen=KEEP_SECONDS // SAMPLE_SECONDS)

    def add(self, metrics: Metrics, levels: Levels, slots: tuple[str, ...], now: float) -> None:
        """Keep a sample of `now`; the first call only notes where the counters stand."""
        before, after = self._before, _totals(metrics, now)
        self._before = after
        if before is None or after.time <= before.time:  # a clock that was set back
            return
        seconds = after.time - before.time
        buckets = [b - a for a, b in zip(before.buckets, after.buckets, strict=True)]
        sample = Sample(
            time=now, slots=slots,
            requests_per_second=(after.requests - before.requests) / seconds,
            errors_per_second=(after.errors - before.errors) / seconds,
            gateway_requests_per_second=(after.gateway - before.gateway) / seconds,
            gateway_tokens_per_second=(after.tokens - before.tokens) / seconds,
            gateway_p50_seconds=quantile(0.5, buckets), gateway_p95_seconds=quantile(0.95, buckets),
            **msgspec.structs.asdict(levels),
        )  # fmt: skip
        self._samples.append(sample)

    def samples(self, since: float = 0.0, step: float = SAMPLE_SECONDS) -> list[Sample]:
        """Those after `since` (seconds since the epoch); of more than one in `step` seconds, their mean.

        A mean's time and slots are those of its newest sample.
        """
        young = (sample for sample in self._samples if sample.time > since)
        return [_mean(list(some)) for _, some in groupby(young, key=lambda sample: sample.time // step)]


def quantile(share: float, counts: Sequence[int]) -> float | None:
    """The seconds within which this share of durations ended, interpolated in its bucket as Prometheus does.

    Beyond the last bound it is that bound; None of nothing.
    """
    rank, below = share * sum(counts), 0
    if not rank:
        return None
    for number, (bound, count) in enumerate(zip(BUCKETS, counts, strict=False)):
        if below + count >= rank:
            lower = BUCKETS[number - 1] if number else 0.0
            return lower + (bound - lower) * (rank - below) / count
        below += count
    return BUCKETS[-1]


def _mean(some: list[Sample]) -> Sample:
    if len(some) == 1:
        return some[0]
    means: dict[str, Any] = {}
    for name in NUMBERS:
        known = [value for sample in some if (value := getattr(sample, name)) is not None]
        means[name] = sum(known) / len(known) if known else None
    return msgspec.structs.replace(some[-1], **means)


def _totals(metrics: Metrics, now: float) -> _Totals:
    answered = metrics.requests.values.items()
    return _Totals(
        time=now,
        requests=metrics.requests.total(),
        errors=sum(tally.value for (_, _, status), tally in answered if status >= "500"),
        gateway=metrics.gateway_requests.total(),
        tokens=sum(tally.value for (_, kind), tally in metrics.tokens.values.items() if kind == "completion"),
        buckets=metrics.gateway_durations.counts(),
    )
