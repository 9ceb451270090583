"""Spans through the OpenTelemetry SDK: batched in a thread of its own, dropped when the collector cannot keep up."""

import asyncio
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.tracing.spans import Span

EXPORT_SECONDS = 5.0
"""For one batch to be taken by the collector; retries come with the next one."""

CLOSE_SECONDS = 2.0

_UNTOLD = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: they would bury the rest."""

_CONTEXT = TraceContextTextMapPropagator()
_CONTEXT_HEADERS = (b"traceparent", b"tracestate")


class OtelTraces:
    """Traces to the collector at `endpoint`. Its troubles are log lines, never anyone else's."""

    def __init__(self, endpoint: str, version: str) -> None:
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        resource = Resource.create({"service.name": "model-manager", "service.version": version})
        # Not at exit: `aclose` is the end, and bounded; the SDK's own waits for half a minute.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("model_manager", version)

    def requests_of(self, app: ASGIApp) -> ASGIApp:
        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in _UNTOLD:
                await app(scope, receive, send)
                return
            span = self._begin(scope)
            try:
                await app(scope, receive, send)
            finally:
                _end(span, scope)

        return traced

    def record(self, span: Span) -> None:
        self._record(span, None)

    async def aclose(self) -> None:
        """In a thread that nobody waits for at exit: a collector that hangs must not hold up the end."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:  # it took too long: the loop is closed
                pass

        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), CLOSE_SECONDS)
        except TimeoutError:
            pass

    def _begin(self, scope: Scope) -> OtelSpan:
        """A span below the client's, where it sent one; what the gateway passes on to a model names ours."""
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _CONTEXT_HEADERS
        }
        span = self._tracer.start_span(
            scope["method"],
            _CONTEXT.extract(carrier),
            SpanKind.SERVER,
            {"http.request.method": scope["method"]},
        )
        onwards: dict[str, str] = {}
        _CONTEXT.inject(onwards, set_span_in_context(span))
        others = [pair for pair in scope["headers"] if pair[0] not in _CONTEXT_HEADERS]
        scope["headers"] = others + [(name.encode(), value.encode()) for name, value in onwards.items()]
        return span

    def _record(self, span: Span, parent: OtelSpan | None) -> None:
        began = int(span.began * 1e9)
        context = None if parent is None else set_span_in_context(parent)
        started = self._tracer.start_span(span.name, context, attributes=span.attributes, start_time=began)
        for part in span.parts:
            self._record(part, started)
        if span.error:
            started.set_status(Status(StatusCode.ERROR, span.error))
        started.end(began + int(span.seconds * 1e9))


def _end(span: OtelSpan, scope: Scope) -> None:
    state = scope.get("state", {})
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
    status = state.get("status", 0)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
    for name in ("request_id", "actor"):
        if name in state:
            span.set_attribute(f"model_manager.{name}", state[name])
    span.end()
