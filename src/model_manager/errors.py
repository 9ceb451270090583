"""The one error tree: each error knows its HTTP status, a code, a sentence and a hint.

    ModelManagerError
    ├── InvalidRequest 400        ├── Conflict 409             ├── InsufficientStorage 507
    ├── Unauthorized 401          ├── TooLarge 413             ├── Unavailable 503
    ├── Forbidden 403             ├── UnsupportedMediaType 415 │   └── StateError 503
    ├── NotFound 404              ├── Unprocessable 422        ├── UpstreamError 502
    ├── MethodNotAllowed 405      ├── ActivationFailed 409     │   └── UpstreamTimeout 504
    ├── MisdirectedRequest 421    ├── TooManyRequests 429      ├── NotOffered 501
    └── SettingsError (refuses to start, exit code 78)         └── WorkFailed (a job's end)

Handlers raise these; `http/problems.py` is the one place that turns them into responses.
A vendor's exception is wrapped where it enters the house, with its cause chained.
"""

from typing import Any, ClassVar


class ModelManagerError(Exception):
    """Something a user should read: what happened, where, and what to do next.

    `sentence` is complete and holds no secret; `hint` says the next step ("" when there is none);
    `data` are JSON-able facts for programs, shown beside the code.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, sentence: str, hint: str = "", **data: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.data = data


class InvalidRequest(ModelManagerError):
    status, code = 400, "invalid_request"


class Unauthorized(ModelManagerError):
    status, code = 401, "unauthorized"


class Forbidden(ModelManagerError):
    status, code = 403, "forbidden"


class NotFound(ModelManagerError):
    status, code = 404, "not_found"


class MethodNotAllowed(ModelManagerError):
    status, code = 405, "method_not_allowed"


class Conflict(ModelManagerError):
    status, code = 409, "conflict"


class ActivationFailed(ModelManagerError):
    """The activation that was waited for did not become active."""

    status, code = 409, "activation_failed"


class TooLarge(ModelManagerError):
    status, code = 413, "too_large"


class UnsupportedMediaType(ModelManagerError):
    status, code = 415, "unsupported_media_type"


class Unprocessable(ModelManagerError):
    status, code = 422, "unprocessable"


class MisdirectedRequest(ModelManagerError):
    """The request's `Host` is none of ours (RFC 9110 §15.5.20)."""

    status, code = 421, "misdirected_request"


class TooManyRequests(ModelManagerError):
    """Give `retry_after` (whole seconds) among the data: it becomes the header."""

    status, code = 429, "too_many_requests"


class NotOffered(ModelManagerError):
    """A route of the original API that this version does not answer, or a part that is not configured."""

    status, code = 501, "not_offered"


class UpstreamError(ModelManagerError):
    """A model server or a hub answered wrongly or not at all."""

    status, code = 502, "upstream_error"


class UpstreamTimeout(UpstreamError):
    status, code = 504, "upstream_timeout"


class Unavailable(ModelManagerError):
    status, code = 503, "unavailable"


class StateError(Unavailable):
    """The state file cannot be opened, read or written."""

    code = "state_error"


class InsufficientStorage(ModelManagerError):
    status, code = 507, "insufficient_storage"


class WorkFailed(ModelManagerError):
    """How a job ends when it cannot be done; `code` is the worker's own word for the cause."""

    code = "work_failed"


class SettingsError(ModelManagerError):
    """A setting is wrong: the service refuses to start."""

    code = "settings_error"
