"""What Prometheus reads, and that nobody pays for it before."""

import subprocess
import sys
import timeit

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from model_manager.metrics import UNMATCHED, Gauge, Metrics, expose

Samples = dict[tuple[str, ...], float]


def samples(metrics: Metrics, *gauges: Gauge) -> Samples:
    """(name, label value, …) -> value, as a scraper parses it."""
    exposition = expose(metrics, gauges)
    assert exposition.content_type.startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.body.decode())
        for sample in family.samples
    }


def test_requests_are_counted_under_the_original_s_names() -> None:
    metrics = Metrics()
    for seconds, status in ((0.02, 200), (0.3, 200), (700.0, 503)):
        metrics.request("GET", "/models/{id}", status, seconds)
    found = samples(metrics)
    assert found["model_manager_http_requests_total", "GET", "/models/{id}", "200"] == 2
    assert found["model_manager_http_requests_total", "GET", "/models/{id}", "503"] == 1
    duration = "model_manager_http_request_duration_seconds"
    assert found[f"{duration}_count", "GET", "/models/{id}"] == 3
    assert found[f"{duration}_sum", "GET", "/models/{id}"] == 700.32
    bounds = ("0.01", "0.025", "0.5", "300.0", "+Inf")
    buckets = {bound: found[f"{duration}_bucket", bound, "GET", "/models/{id}"] for bound in bounds}
    assert buckets == {"0.01": 0, "0.025": 1, "0.5": 2, "300.0": 2, "+Inf": 3}


def test_a_duration_on_a_bound_is_within_it() -> None:
    metrics = Metrics()
    metrics.request("GET", "/x", 200, 0.5)
    found = samples(metrics)
    assert found["model_manager_http_request_duration_seconds_bucket", "0.5", "GET", "/x"] == 1
    assert found["model_manager_http_request_duration_seconds_bucket", "0.25", "GET", "/x"] == 0


def test_strangers_paths_and_methods_make_no_new_labels() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.request(f"METHOD{number}", None, 404, 0.0)
    requests = {key: value for key, value in samples(metrics).items() if key[0].endswith("requests_total")}
    assert requests == {("model_manager_http_requests_total", "OTHER", UNMATCHED, "404"): 1000}


def test_a_request_to_a_model_is_counted_timed_and_its_tokens_too() -> None:
    metrics = Metrics()
    metrics.gateway("main", "/v1/chat/completions", 200, 4.0, 0.3, prompt_tokens=7, completion_tokens=90)
    metrics.gateway("main", "/v1/chat/completions", 200, 2.0, 0.7, completion_tokens=10)
    metrics.gateway("main", "/v1/chat/completions", 503, 0.001)
    found, route = samples(metrics), ("/v1/chat/completions", "main")
    assert found["model_manager_gateway_requests_total", *route, "200"] == 2
    assert found["model_manager_gateway_requests_total", *route, "503"] == 1
    assert found["model_manager_gateway_request_duration_seconds_sum", *route] == pytest.approx(6.001)
    assert found["model_manager_gateway_time_to_first_token_seconds_count", *route] == 2
    assert found["model_manager_gateway_time_to_first_token_seconds_sum", *route] == 1.0
    assert found["model_manager_gateway_tokens_total", "prompt", "main"] == 7
    assert found["model_manager_gateway_tokens_total", "completion", "main"] == 100


def test_counting_a_request_to_a_model_costs_less_than_two_microseconds() -> None:
    metrics = Metrics()
    count = lambda: metrics.gateway("main", "/v1/chat/completions", 200, 4.0, 0.3, 7, 90)  # noqa: E731
    best = min(timeit.repeat(count, number=200, repeat=500)) / 200  # bursts: some of them nobody disturbs
    assert best < 2e-6


def test_jobs_activations_phases_and_bytes() -> None:
    metrics = Metrics()
    metrics.job_ended("weight_install", "completed")
    metrics.activation_ended("active-llm", "failed")
    metrics.phase("active-llm", "starting", 12.5)
    metrics.bytes_installed(500)
    metrics.bytes_installed(12)
    found = samples(metrics)
    assert found["model_manager_jobs_total", "weight_install", "completed"] == 1
    assert found["model_manager_activations_total", "failed", "active-llm"] == 1
    assert found["model_manager_activation_phase_seconds_sum", "starting", "active-llm"] == 12.5
    assert found["model_manager_installed_bytes_total",] == 512


def test_what_has_not_happened_yet_is_zero() -> None:
    metrics = Metrics()
    metrics.begin(["active-llm"], ["weight_install"])
    found = samples(metrics)
    assert found["model_manager_activations_total", "failed", "active-llm"] == 0
    assert found["model_manager_jobs_total", "weight_install", "failed"] == 0
    assert found["model_manager_installed_bytes_total",] == 0


def test_gauges_are_what_was_read_for_this_scrape() -> None:
    weights = Gauge("model_manager_weights_used_bytes", "Bytes.", {(): 812_344})
    slots = Gauge("slots", "States.", {("a", "x"): 1, ("b", "y"): 0}, ("slot", "state"))
    events = Gauge("events", "Their number.", {(): 7}, counter=True)
    found = samples(Metrics(), weights, slots, events)
    assert found["model_manager_weights_used_bytes",] == 812_344
    assert (found["slots", "a", "x"], found["slots", "b", "y"]) == (1, 0)
    assert found["events_total",] == 7


def test_the_process_tells_its_own_numbers() -> None:
    found = samples(Metrics())
    assert found["process_open_fds",] > 3
    assert found["process_resident_memory_bytes",] > 1e7
    assert found["process_cpu_seconds_total",] > 0
    assert found["process_start_time_seconds",] > 1e9


def test_odd_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.job_ended('a"b\\c\nd', "x")
    assert samples(metrics)["model_manager_jobs_total", 'a"b\\c\nd', "x"] == 1


def test_openmetrics_when_it_is_asked_for() -> None:
    metrics = Metrics()
    metrics.request("GET", "/x", 200, 0.5)
    exposition = expose(metrics, accept="application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3")
    assert exposition.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics.text_string_to_metric_families(exposition.body.decode())}
    assert "model_manager_http_requests" in names


def test_prometheus_client_is_imported_by_the_first_scrape_only() -> None:
    program = (
        "import sys, model_manager.metrics as m; n = m.Metrics(); n.request('GET', '/', 200, 0.1);"
        "assert 'prometheus_client' not in sys.modules; m.expose(n); assert 'prometheus_client' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
