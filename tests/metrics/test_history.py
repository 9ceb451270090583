"""The ring of samples: rates, quantiles, thinning, bounds."""

import tracemalloc

import pytest

from model_manager.metrics import BUCKETS, KEEP_SECONDS, SAMPLE_SECONDS, History, Levels, Metrics
from model_manager.metrics.history import quantile

LEVELS = Levels(in_flight=2, jobs_running=1, weights_bytes=10, disk_available_bytes=20, memory_bytes=30)


def filled(count: int, start: float = 900_000.0) -> History:
    history, metrics = History(), Metrics()
    for number in range(count + 1):
        for _ in range(min(number, 3)):
            metrics.request("GET", "/x", 200, 0.1)
        history.add(metrics, LEVELS, ("active",), start + number * SAMPLE_SECONDS)
    return history


def test_rates_are_a_second_since_the_sample_before() -> None:
    history, metrics = History(), Metrics()
    history.add(metrics, LEVELS, ("empty",), 1000.0)
    assert history.samples() == []
    metrics.request("GET", "/x", 200, 0.1)
    metrics.request("GET", "/x", 503, 0.1)
    for _ in range(4):
        metrics.gateway("a", "/v1/completions", 200, 0.2, 0.1, 5, completion_tokens=50)
    history.add(metrics, LEVELS, ("active",), 1010.0)
    (sample,) = history.samples()
    assert (sample.requests_per_second, sample.errors_per_second) == (0.2, 0.1)
    assert (sample.gateway_requests_per_second, sample.gateway_tokens_per_second) == (0.4, 20)
    assert (sample.in_flight, sample.slots) == (2, ("active",))
    assert 0.1 < (sample.gateway_p50_seconds or 0) < (sample.gateway_p95_seconds or 0) <= 0.25
    history.add(metrics, LEVELS, ("active",), 1020.0)
    assert history.samples()[-1].gateway_p50_seconds is None


def test_a_clock_that_was_set_back_makes_no_negative_rate() -> None:
    history, metrics = History(), Metrics()
    for now in (1000.0, 1030.0, 500.0, 530.0):
        metrics.request("GET", "/x", 200, 0.1)
        history.add(metrics, LEVELS, (), now)
    assert [sample.time for sample in history.samples()] == [1030.0, 530.0]


def test_a_wider_step_gives_means() -> None:
    history = filled(8, start=900_000.0)
    wide = history.samples(step=120)
    assert [sample.time for sample in wide] == [900_090.0, 900_210.0, 900_240.0]
    assert wide[0].requests_per_second == pytest.approx((1 + 2 + 3) / 3 / SAMPLE_SECONDS)
    assert len(history.samples(since=900_210.0)) == 1


@pytest.mark.parametrize(
    ("share", "counts", "seconds"),
    [
        (0.5, {}, None),
        (0.5, {0.5: 10}, 0.375),
        (1.0, {0.5: 10}, 0.5),
        (0.95, {0.01: 95, 5.0: 5}, 0.01),
        (0.96, {0.01: 95, 5.0: 5}, 3.0),
        (0.5, {BUCKETS[0]: 2}, BUCKETS[0] / 2),
    ],
)
def test_quantiles_are_interpolated_in_their_bucket(
    share: float, counts: dict[float, int], seconds: float | None
) -> None:
    row = [counts.get(bound, 0) for bound in BUCKETS] + [0]
    assert quantile(share, row) == (seconds if seconds is None else pytest.approx(seconds))


def test_beyond_all_bounds_is_the_last_bound() -> None:
    assert quantile(0.5, [0] * len(BUCKETS) + [7]) == BUCKETS[-1]


def test_six_hours_are_kept_in_less_than_a_megabyte() -> None:
    tracemalloc.start()
    history = filled(KEEP_SECONDS // SAMPLE_SECONDS * 2)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(history.samples()) == KEEP_SECONDS // SAMPLE_SECONDS
    assert size < 1_000_000
