"""What is counted while it happens. Counting is a few additions; prometheus-client is imported when scraped.

Its import costs a tenth of a second and more, which a service that is started on demand should not pay
before its first answer. So the numbers are kept here and handed to it as a collector of an own registry.
Names and labels of the HTTP requests are those of the original service.

Labels are bounded: slots are declared, paths are templates of routes, results and kinds are words of the code.
"""

from collections.abc import Iterable

from model_manager.metrics.families import UNMATCHED, Counter, Durations, Histogram, Tally

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's counters. One per application; everything runs on the event loop's thread."""

    def __init__(self) -> None:
        self.requests = Counter(
            "model_manager_http_requests", "HTTP requests answered.", "method", "path", "status"
        )
        self.durations = Histogram(
            "model_manager_http_request_duration_seconds",
            "Time from a request to the end of its answer.",
            "method",
            "path",
        )
        self.jobs = Counter("model_manager_jobs", "Jobs that ended.", "kind", "status")
        self.installed = Counter(
            "model_manager_installed_bytes", "Bytes of weights that installs fetched or copied."
        )
        self.activations = Counter("model_manager_activations", "Activations that ended.", "slot", "result")
        self.phases = Histogram(
            "model_manager_activation_phase_seconds",
            "Time that activations spent in a phase.",
            "slot",
            "phase",
        )
        self.gateway_requests = Counter(
            "model_manager_gateway_requests", "Requests to models.", "slot", "path", "status"
        )
        self.gateway_durations = Histogram(
            "model_manager_gateway_request_duration_seconds",
            "Time from a request to the end of the model's answer.",
            "slot",
            "path",
        )
        self.first_bytes = Histogram(
            "model_manager_gateway_time_to_first_token_seconds",
            "Time from a request to the first byte of the model's answer, its first token when it streams.",
            "slot",
            "path",
        )
        self.tokens = Counter(
            "model_manager_gateway_tokens", "Tokens, as model servers tell them.", "slot", "kind"
        )

        self._passages: dict[tuple[str, str], _Passage] = {}
        self._answers: dict[tuple[str, str | None, int], tuple[Tally, Durations]] = {}

    def begin(self, slots: Iterable[str], kinds: Iterable[str]) -> None:
        """Show from the start, as zeros, what has not happened yet.

        Prometheus sees no increase in the first value of a series: an alert would miss the first failure.
        """
        for slot in slots:
            for result in ("active", "failed", "superseded", "cancelled"):
                self.activations.of(slot, result)
        for kind in kinds:
            for status in ("completed", "failed", "cancelled"):
                self.jobs.of(kind, status)
        self.installed.of()

    @property
    def counters(self) -> list[Counter]:
        return [family for family in vars(self).values() if isinstance(family, Counter)]

    @property
    def histograms(self) -> list[Histogram]:
        return [family for family in vars(self).values() if isinstance(family, Histogram)]

    def request(self, method: str, path: str | None, status: int, seconds: float) -> None:
        """One finished HTTP request; `path` is the route's template, None when no route matched."""
        of = self._answers.get((method, path, status))
        if of is None:
            method = method if method in _METHODS else "OTHER"
            template = path or UNMATCHED
            of = self.requests.of(method, template, str(status)), self.durations.of(method, template)
            self._answers[method, path, status] = of
        tally, durations = of
        tally.value += 1
        durations.add(seconds)

    def gateway(
        self,
        slot: str,
        path: str,
        status: int,
        seconds: float,
        first_byte_seconds: float | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
    ) -> None:
        """One finished request to a model. `slot` is a declared one, or "" when none was found for it.

        `path` is the gateway's route. `first_byte_seconds`: from the request to the first byte of the body, None when
        there was none. Tokens are what the model server told in its usage, None when it did not. Costs < 2 µs.
        """
        of = self._passages.get((slot, path))
        if of is None:
            of = self._passages[slot, path] = _Passage(self, slot, path)
        tally = of.statuses.get(status)
        if tally is None:
            tally = of.statuses[status] = self.gateway_requests.of(slot, path, str(status))
        tally.value += 1
        of.durations.add(seconds)
        if first_byte_seconds is not None:
            of.first_bytes.add(first_byte_seconds)
        if prompt_tokens:
            of.prompt.value += prompt_tokens
        if completion_tokens:
            of.completion.value += completion_tokens

    def phase(self, slot: str, phase: str, seconds: float) -> None:
        """An activation left this phase after so long."""
        self.phases.of(slot, phase).add(seconds)

    def job_ended(self, kind: str, status: str) -> None:
        self.jobs.of(kind, status).value += 1

    def bytes_installed(self, amount: int) -> None:
        """So many more bytes of weights were fetched or copied."""
        self.installed.of().value += amount

    def activation_ended(self, slot: str, result: str) -> None:
        self.activations.of(slot, result).value += 1


class _Passage:
    """Where requests to one slot on one path are counted: found once, for counting must not slow them down."""

    __slots__ = ("completion", "durations", "first_bytes", "prompt", "statuses")

    def __init__(self, metrics: Metrics, slot: str, path: str) -> None:
        self.statuses: dict[int, Tally] = {}
        self.durations = metrics.gateway_durations.of(slot, path)
        self.first_bytes = metrics.first_bytes.of(slot, path)
        self.prompt = metrics.tokens.of(slot, "prompt")
        self.completion = metrics.tokens.of(slot, "completion")
