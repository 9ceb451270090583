"""The exit codes of `model-manager`, and which error gives which. Scripts may rely on them.

| code | meaning |
|---|---|
| 0 | done |
| 1 | failed, or refused by the service |
| 2 | used wrongly: unknown command, option or value |
| 3 | the service does not answer |
| 4 | the token is missing or wrong, or may not do this |
| 5 | there is no such model, job, activation, weights, slot, token or context |
| 78 | a setting is wrong, so the service refuses to start (`EX_CONFIG` of sysexits.h) |
| 124 | the time of `--timeout` is over; the service goes on with the work (as `timeout(1)` ends) |
| 130 | interrupted by Ctrl-C |
"""

from model_manager.errors import (
    Forbidden,
    InvalidRequest,
    ModelManagerError,
    NotFound,
    SettingsError,
    Unauthorized,
)

OK = 0
FAILED = 1
USAGE = 2
NOT_REACHABLE = 3
UNAUTHORIZED = 4
NOT_FOUND = 5
SETTINGS = 78
TIMED_OUT = 124
INTERRUPTED = 130

_BY_ERROR: tuple[tuple[type[ModelManagerError], int], ...] = (
    (SettingsError, SETTINGS),
    (Unauthorized, UNAUTHORIZED),
    (Forbidden, UNAUTHORIZED),
    (NotFound, NOT_FOUND),
    (InvalidRequest, USAGE),
)


class TimedOut(ModelManagerError):
    """What was waited for has not ended within `--timeout`."""

    code = "timed_out"


_BY_STATUS = {400: USAGE, 401: UNAUTHORIZED, 403: UNAUTHORIZED, 404: NOT_FOUND}


def exit_code(error: ModelManagerError) -> int:
    """The exit code that tells a script what kind of failure this was."""
    from model_manager.client import ApiError, NotReachable  # the help can do without

    if isinstance(error, NotReachable):
        return NOT_REACHABLE
    if isinstance(error, TimedOut):
        return TIMED_OUT
    if isinstance(error, ApiError):
        if (
            error.http_status == 422 and "field" in error.data
        ):  # an option's value that the service does not take
            return USAGE
        return _BY_STATUS.get(error.http_status, FAILED)
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)
