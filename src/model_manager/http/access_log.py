"""A line for each answered request: for whoever debugs, and for everyone when it was slow or went wrong.

The path without its query, which may hold what is nobody's business; what is in it is escaped by the log's formats.
"""

import logging

from starlette.types import Scope

log = logging.getLogger("model_manager.access")

SLOW = 5.0
"""Seconds to the beginning of an answer, beyond which everyone is told."""


def tell(scope: Scope, status: int, began_after: float, seconds: float) -> None:
    """Log one request. `began_after`: seconds until its answer began."""
    in_time = began_after < SLOW or _may_take_long(scope)
    actor = scope["state"].get("actor", "-")
    write(scope["method"], scope["path"], actor, status, seconds, in_time=in_time)


def write(method: str, path: str, actor: str, status: int, seconds: float, *, in_time: bool = True) -> None:
    """Log one request that was answered in time, or not."""
    level = logging.DEBUG if status < 500 and in_time else logging.WARNING
    if log.isEnabledFor(level):
        log.log(level, "%s %s: %d in %.3f s, asked by %s", method, path[:200], status, seconds, actor)


def _may_take_long(scope: Scope) -> bool:
    """A model's answer, and what was asked to wait."""
    return scope["path"].startswith("/v1/") or b"wait" in scope["query_string"]
