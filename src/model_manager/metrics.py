"""Counts for Prometheus. Counting is a dictionary's `+= 1`; prometheus-client is imported when scraped.

Its import costs a tenth of a second and more, which a service that is started on demand should not pay
before its first answer. So the numbers are kept here and handed to it as a collector of an own registry.
Names and labels of the first three are those of the original service.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds: prometheus-client's, and on to the minutes of a long generation."""

UNMATCHED = "unmatched"
"""The path of requests no route matched: what strangers ask for must not grow the table."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Durations:
    """One histogram: how many in each bucket (the last is beyond all bounds), and the sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        running, pairs = 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            running += count
            pairs.append((bound, float(running)))
        return pairs


class Exposition(NamedTuple):
    """The body of `GET /metrics` and its content type."""

    body: bytes
    content_type: str


class Metrics:
    """The service's counters. One per application; everything runs on the event loop's thread."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._durations: dict[tuple[str, str], _Durations] = {}
        self._jobs: Counter[tuple[str, str]] = Counter()
        self._activations: Counter[tuple[str, str]] = Counter()
        self._weights_used_bytes: int | None = None

    def request(self, method: str, path: str | None, status: int, seconds: float) -> None:
        """One finished HTTP request; `path` is the route's template, None when no route matched."""
        method = method if method in _METHODS else "OTHER"
        path = path or UNMATCHED
        self._requests[method, path, str(status)] += 1
        durations = self._durations.get((method, path))
        if durations is None:
            durations = self._durations[method, path] = _Durations()
        durations.add(seconds)

    def job_ended(self, kind: str, status: str) -> None:
        self._jobs[kind, status] += 1

    def activation_ended(self, slot: str, result: str) -> None:
        self._activations[slot, result] += 1

    def weights_used(self, size: int) -> None:
        """Bytes all installed weights take."""
        self._weights_used_bytes = size

    def render(self) -> Exposition:
        """Everything in Prometheus' text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return Exposition(generate_latest(registry), CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator["Metric"]:
        """The numbers as prometheus-client's collectors give them."""
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        requests = CounterMetricFamily(
            "model_manager_http_requests", "HTTP requests answered.", labels=("method", "path", "status")
        )
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        yield requests
        durations = HistogramMetricFamily(
            "model_manager_http_request_duration_seconds",
            "Time from a request to the end of its answer.",
            labels=("method", "path"),
        )
        for route, histogram in self._durations.items():
            durations.add_metric(route, histogram.cumulative(), histogram.total)
        yield durations
        jobs = CounterMetricFamily("model_manager_jobs", "Jobs that ended.", labels=("kind", "status"))
        for job, count in self._jobs.items():
            jobs.add_metric(job, count)
        yield jobs
        activations = CounterMetricFamily(
            "model_manager_activations", "Activations that ended.", labels=("slot", "result")
        )
        for activation, count in self._activations.items():
            activations.add_metric(activation, count)
        yield activations
        if self._weights_used_bytes is not None:
            yield GaugeMetricFamily(
                "model_manager_weights_used_bytes",
                "Bytes all installed weights take.",
                value=self._weights_used_bytes,
            )
