"""One call of the API as data: what is asked, and what its answers are. No I/O: the clients send it."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from model_manager.client.errors import not_understood, refusal

T = TypeVar("T")

SLACK = 15.0
"""Seconds beyond a call's own `wait` until its answer counts as lost."""

USER_AGENT = "model-manager-client"


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """A request that answers with a T.

    `path` are the segments, not yet quoted. `returns` has the type of each status that is an answer; `str` and
    `bytes` stand for answers that are not JSON.
    """

    method: str
    path: tuple[str, ...]
    returns: Mapping[int, Any]
    query: Mapping[str, Any] = {}
    payload: Any = None

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line; what is None is left out."""
        target = "".join("/" + quote(part, safe="") for part in self.path)
        given = {name: _text(value) for name, value in self.query.items() if value is not None}
        return target + (f"?{urlencode(given)}" if given else "")

    def body(self) -> bytes | None:
        return None if self.payload is None else msgspec.json.encode(self.payload)

    def headers(self, token: str | None, accept: str = "application/json") -> dict[str, str]:
        headers = {"accept": accept, "user-agent": USER_AGENT}
        if self.payload is not None:
            headers["content-type"] = "application/json"
        if token:
            headers["authorization"] = f"Bearer {token}"
        return headers

    @property
    def untyped(self) -> "Call[Any]":
        """The same, its answers as plain data: whatever a newer service says in them. Refusals keep their form."""
        plain = {status: kind if status >= 400 else Any for status, kind in self.returns.items()}
        return replace(self, returns=plain)

    def answer(self, status: int, body: bytes, url: str) -> T:
        """The decoded answer. Raises ApiError for a refusal, and for what is no answer to this call."""
        kind = self.returns.get(status)
        if kind is None:
            raise refusal(status, body, url)
        if kind is bytes:
            return body  # type: ignore[return-value]
        if kind is str:
            return body.decode("utf-8", "replace")  # type: ignore[return-value]
        try:
            decoded: T = msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if status >= 400:  # some operations answer with these too, in a form of their own
                raise refusal(status, body, url) from error
            raise not_understood(status, url, error) from error
        return decoded


def patience(call: Call[Any], timeout: float) -> float:
    """Seconds to wait for an answer: a call with a `wait` of its own is given that much, and some more."""
    wait = float(call.query.get("wait") or 0)
    return max(timeout, wait + SLACK) if wait else timeout


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """A request's body: the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
