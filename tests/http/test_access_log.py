"""Which requests have a line, at which level, and what is never in it."""

import io
import logging
from typing import Any

import httpx2
import pytest

from model_manager import logs
from model_manager.http import access_log
from tests.http.live import raw


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


@pytest.mark.parametrize("form", ["text", "json"])
async def test_h8a_paths_and_headers_forge_no_line(
    form: logs.Format, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.configure("debug", form, stream)
    forged = b"%0d%0a12:00:00 error   access: all is lost%1b[2J%e2%80%a8".replace(b" ", b"%20")
    target = b"/things" + forged
    head = b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\nx-request-id: \xc2\x85red\r\nconnection: close\r\n\r\n"
    answer = await raw(client, head % target)
    assert b" 404 " in answer.splitlines()[0]
    lines = [line for line in stream.getvalue().splitlines() if "asked by" in line]
    assert len(lines) == 1
    assert "\x1b" not in stream.getvalue()
    assert not any(line.startswith("12:00:00") for line in stream.getvalue().splitlines())
