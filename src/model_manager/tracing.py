"""OpenTelemetry traces, when an endpoint is set."""
