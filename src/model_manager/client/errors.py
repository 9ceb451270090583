"""What a call can end with beside its answer."""

from collections.abc import Mapping
from typing import Any

import msgspec

from model_manager.errors import ModelManagerError


class NotReachable(ModelManagerError):
    """No service answers at the address, or it stopped within its answer."""

    code = "not_reachable"


class ApiError(ModelManagerError):
    """The service's own refusal, as it was answered.

    `http_status` is its HTTP status, `problem_code` the code that the service gave ("" when it gave none),
    `data` its facts for programs.
    """

    def __init__(
        self,
        sentence: str,
        hint: str = "",
        *,
        http_status: int,
        problem_code: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sentence, hint)
        self.http_status = http_status
        self.problem_code = problem_code
        self.data = dict(data or {})  # the service's own words: one may be named like an argument here


ADDRESS_HINT = "Is this address Model Manager's? Name another with --url."


def refusal(status: int, body: bytes, url: str) -> ApiError:
    """The error that an answer is: problem+json, OpenAI's shape, or what anything else at that address says."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return ApiError(f"{url} answered with status {status}.", ADDRESS_HINT, http_status=status)
    error = answer.get("error")
    inner = error if isinstance(error, dict) else {}
    told = answer.get("detail") or inner.get("message") or (error if isinstance(error, str) else None)
    data = answer.get("data")
    return ApiError(
        str(told or answer.get("title") or f"{url} answered with status {status}."),
        str(answer.get("hint") or inner.get("hint") or ""),
        http_status=status,
        problem_code=str(answer.get("code") or inner.get("code") or ""),
        data=data if isinstance(data, dict) else None,
    )


def not_understood(status: int, url: str, reason: Exception) -> ApiError:
    """The error that an answer is which should have been good: another program's, or another version's."""
    if isinstance(reason, msgspec.ValidationError):
        return ApiError(
            f"The answer of {url} is not understood: {reason}.",
            "The service may be of another version than this client; update the older of the two.",
            http_status=status,
        )
    return ApiError(f"What answers at {url} is not Model Manager.", ADDRESS_HINT, http_status=status)
