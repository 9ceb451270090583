"""What Prometheus reads, and that nobody pays for it before."""

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from model_manager.metrics import UNMATCHED, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """(name, label value, …) -> value, as a scraper parses it."""
    exposition = metrics.render()
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


def test_h11a_strangers_paths_and_methods_make_no_new_labels() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.request(f"METHOD{number}", None, 404, 0.0)
    requests = {key: value for key, value in samples(metrics).items() if key[0].endswith("requests_total")}
    assert requests == {("model_manager_http_requests_total", "OTHER", UNMATCHED, "404"): 1000}


def test_jobs_activations_and_weights() -> None:
    metrics = Metrics()
    assert ("model_manager_weights_used_bytes",) not in samples(metrics)  # not known yet: not zero either
    metrics.job_ended("weight_install", "completed")
    metrics.activation_ended("active-llm", "failed")
    metrics.weights_used(812_345)
    metrics.weights_used(812_344)
    found = samples(metrics)
    assert found["model_manager_jobs_total", "weight_install", "completed"] == 1
    assert found["model_manager_activations_total", "failed", "active-llm"] == 1
    assert found["model_manager_weights_used_bytes",] == 812_344


def test_odd_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.job_ended('a"b\\c\nd', "x")
    assert samples(metrics)["model_manager_jobs_total", 'a"b\\c\nd', "x"] == 1


def test_prometheus_client_is_imported_by_the_first_scrape_only() -> None:
    program = (
        "import sys, model_manager.metrics as m; n = m.Metrics(); n.request('GET', '/', 200, 0.1);"
        "assert 'prometheus_client' not in sys.modules; n.render(); assert 'prometheus_client' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
