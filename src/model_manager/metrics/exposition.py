"""The numbers in Prometheus' words. The only module that imports prometheus-client, and only when it is scraped."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from model_manager.metrics.counting import Metrics
from model_manager.metrics.families import Gauge

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Exposition(NamedTuple):
    """The body of `GET /metrics` and its content type."""

    body: bytes
    content_type: str


def expose(metrics: Metrics, gauges: Iterable[Gauge] = (), accept: str = "") -> Exposition:
    """Everything in Prometheus' text format, or in OpenMetrics' when the `Accept` header prefers it.

    The process's own numbers (CPU, memory, open files, start) come under the names that every exporter uses.
    A thousand series take 20 ms: call it in a thread. What is counted meanwhile may be in it or not.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, exposition
    from prometheus_client.openmetrics import exposition as openmetrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(metrics, gauges))
    ProcessCollector(registry=registry)
    # Not prometheus-client's own choice, which raises on versions that a stranger makes up.
    if "application/openmetrics-text" in accept:
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return Exposition(body, openmetrics.CONTENT_TYPE_LATEST)
    return Exposition(exposition.generate_latest(registry), exposition.CONTENT_TYPE_LATEST)


class _Families:
    """What prometheus-client calls a collector."""

    def __init__(self, metrics: Metrics, gauges: Iterable[Gauge]) -> None:
        self._metrics = metrics
        self._gauges = gauges

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for count in self._metrics.counters:
            counter = CounterMetricFamily(count.name, count.help, labels=count.labels)
            for labels, tally in list(count.values.items()):
                counter.add_metric(labels, tally.value)
            yield counter
        for histogram in self._metrics.histograms:
            family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
            for labels, durations in list(histogram.values.items()):
                family.add_metric(labels, durations.cumulative(), durations.total)
            yield family
        for gauge in self._gauges:
            kind = CounterMetricFamily if gauge.counter else GaugeMetricFamily
            read = kind(gauge.name, gauge.help, labels=gauge.labels)
            for labels, value in gauge.values.items():
                read.add_metric(labels, value)
            yield read
