"""What the server itself says to a connection before any application sees a request: small problems, then the end."""

import uuid
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from model_manager.errors import ModelManagerError
from model_manager.http.problems import problem_response


class HeadTooLarge(ModelManagerError):
    status, code = 431, "head_too_large"


class TargetTooLong(ModelManagerError):
    status, code = 414, "target_too_long"


class RequestTimeout(ModelManagerError):
    status, code = 408, "request_timeout"


class CodingNotSupported(ModelManagerError):
    """A `Transfer-Encoding` other than `chunked` (RFC 9112 §6.1)."""

    status, code = 501, "coding_not_supported"


class VersionNotSupported(ModelManagerError):
    status, code = 505, "version_not_supported"


def refusal(error: ModelManagerError, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole response, after which the connection is to be closed."""
    response = problem_response(error, "", str(uuid.uuid4()))
    fields = [*headers, *(pair for pair in response.raw_headers if pair[0] != b"connection")]
    lines = b"".join(b"%b: %b\r\n" % pair for pair in fields)
    return STATUS_LINE[error.status] + lines + b"connection: close\r\n\r\n" + bytes(response.body)
