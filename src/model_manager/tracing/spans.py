"""What a trace is made of, and the door to the SDK."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from model_manager.errors import SettingsError


class Span(NamedTuple):
    """Something that took time, told when it has ended. `began` in seconds since the epoch; `error` "" if it went well.

    Attributes are ids and words of ours: never a path, a header or anything else that could hold a secret.
    """

    name: str
    began: float
    seconds: float
    attributes: Mapping[str, str | int]
    error: str = ""
    parts: Sequence["Span"] = ()


class Traces(Protocol):
    """Where traces go."""

    def requests_of(self, app: ASGIApp) -> ASGIApp:
        """The same application, with a span for each request."""

    def record(self, span: Span) -> None:
        """Tell of a span that has ended and of its parts, as a trace of its own."""

    async def aclose(self) -> None:
        """Send what was not sent yet; given up after two seconds."""


def open_traces(endpoint: str, version: str) -> Traces | None:
    """Traces to an OTLP/HTTP collector such as `http://localhost:4318`; None when no endpoint is set.

    Raises SettingsError for what is no http(s) URL, for one with a password in it, and when the SDK is not installed.
    """
    if not endpoint:
        return None
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is not an http:// or https:// URL.",
            "Write for example http://localhost:4318.",
        )
    if parts.username or parts.password:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT holds a user name or password, which would be shown with the settings.",
            "Put it into OTEL_EXPORTER_OTLP_HEADERS: Authorization=Basic%20…",
        )
    try:
        from model_manager.tracing.otel import OtelTraces
    except ImportError as error:
        raise SettingsError(
            "Traces are wanted (OTEL_EXPORTER_OTLP_ENDPOINT), but OpenTelemetry is not installed.",
            "pip install 'model-manager[otel]', or unset the variable.",
        ) from error
    return OtelTraces(endpoint, version)
