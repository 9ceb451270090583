"""Which requests have a line, at which level, and what is never in it."""

import logging
from typing import Any

import pytest

from model_manager.http import access_log


def scope(path: str = "/models", query: bytes = b"") -> dict[str, Any]:
    return {"method": "GET", "path": path, "query_string": query, "state": {"actor": "admin"}}


@pytest.mark.parametrize(
    ("status", "began_after", "path", "query", "level"),
    [
        (200, 0.1, "/models", b"", logging.DEBUG),
        (404, 0.1, "/models", b"", logging.DEBUG),
        (503, 0.1, "/readyz", b"", logging.WARNING),
        (200, 9.0, "/models", b"", logging.WARNING),
        (200, 9.0, "/v1/chat/completions", b"", logging.DEBUG),
        (200, 9.0, "/jobs/x", b"wait=60", logging.DEBUG),
        (502, 9.0, "/v1/chat/completions", b"", logging.WARNING),
    ],
)
def test_everyone_is_told_of_what_was_slow_or_went_wrong(
    status: int, began_after: float, path: str, query: bytes, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    access_log.tell(scope(path, query), status, began_after, 10.0)
    assert [record.levelno for record in caplog.records] == [level]


def test_the_line_has_no_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    access_log.tell(scope("/models", b"token=hunter2"), 200, 0.01, 0.02)
    assert caplog.messages == ["GET /models: 200 in 0.020 s, asked by admin"]
