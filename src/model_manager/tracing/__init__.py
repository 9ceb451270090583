"""OpenTelemetry traces, when an endpoint is set: without one, nothing of it is imported and nothing is measured.

What is told here (requests, activations, jobs) is told by who does it, as plain values; only `otel.py` knows the SDK.
"""

from model_manager.tracing.spans import Span, Traces, open_traces

__all__ = ["Span", "Traces", "open_traces"]
