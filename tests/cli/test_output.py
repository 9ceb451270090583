"""What people and programs see."""

import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from model_manager.cli import output
from model_manager.cli.output import ago, human_seconds, human_size
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service
from tests.programs import running
from tests.waiting import until_sync

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (774_880, "774.9 kB"), (8e12, "8.0 TB")],
)
def test_sizes(size: float | None, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.25, "0.2 s"), (42, "42 s"), (185, "3 min 5 s"), (7500, "2 h 5 min"), (300_000, "3 d")],
)
def test_seconds(seconds: float | None, text: str) -> None:
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (None, "-"),
        ("2026-11-24T12:00:00.000Z", "now"),
        ("2026-11-24T11:59:00Z", "1 min 0 s ago"),
        ("2026-11-24T11:00:00", "1 h 0 min ago"),
        ("2026-11-24T12:00:30Z", "now"),
        ("yesterday", "yesterday"),
    ],
)
def test_how_long_ago(time: str | None, text: str) -> None:
    assert ago(time, NOW) == text


READING = [
    (("status",), "/slots"),
    (("models",), "/models"),
    (("models", "list"), "/models"),
    (("models", "show", "a"), "/models/a"),
    (("models", "manifest", "a"), "/models/a/manifest"),
    (("catalog",), "/catalog"),
    (("catalog", "problems"), "/catalog/problems"),
    (("slots",), "/slots"),
    (("slots", "show", "a"), "/slots/a"),
    (("slots", "activations", "a"), "/slots/a/activations"),
    (("settings",), "/settings"),
    (("metrics",), "/metrics/history"),
    (("forecast", "a"), "/activations/forecast"),
    (("health",), "/readyz"),
    (("token",), "/tokens"),
    (("token", "current"), "/tokens/current"),
    (("weights",), "/weights"),
    (("weights", "usage"), "/weights/usage"),
    (("weights", "info", "a"), "/weights/a/info"),
    (("jobs",), "/jobs"),
    (("jobs", "show", "a"), "/jobs/a"),
    (("jobs", "log", "a"), "/jobs/a/logs"),
    (("activations",), "/activations"),
    (("activations", "show", "a"), "/activations/a"),
    (("history",), "/history"),
]


@pytest.mark.parametrize(
    ("arguments", "path"), READING, ids=lambda value: " ".join(value) if value[0] != "/" else ""
)
def test_json_is_the_apis_own(run: Run, service: Service, arguments: tuple[str, ...], path: str) -> None:
    """Byte for byte in a pipe, whatever is in it."""
    body = b'{"a":1.50,"b":[],  "c":"\\u00e9\xc3\xa9","d":12345678901234567890}'
    service.on("GET", path, Reply(body))
    assert run(*arguments, "-o", "json") == (0, body.decode() + "\n", "")


ACTING = [
    (("deactivate",), "POST", "/models/deactivate"),
    (("catalog", "refresh"), "POST", "/refresh"),
    (("weights", "delete", "a"), "DELETE", "/weights/a"),
    (("jobs", "cancel", "a"), "POST", "/jobs/a/cancel"),
    (("jobs", "retry", "a"), "POST", "/jobs/a/retry"),
    (("activations", "cancel", "a"), "POST", "/activations/a/cancel"),
]


@pytest.mark.parametrize(
    ("arguments", "method", "path"),
    ACTING,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_json_of_what_acts_is_the_apis_answer(
    run: Run, service: Service, arguments: tuple[str, ...], method: str, path: str
) -> None:
    answer = {
        "message": "Done",
        "id": "a",
        "status": "cancelled",
        "models": [],
        "revision": "1",
        "problems": ["what this command prints in words"],
        "result": {"action": "deleted", "name": "a"},
    }
    service.on(method, path, Reply(json.dumps(answer).encode()))
    assert run(*arguments, "-o", "json") == (0, json.dumps(answer) + "\n", "")


@pytest.mark.parametrize(
    ("action", "said"),
    [("deleted", "Slot second is empty now.\n"), ("already_deleted", "Nothing was active in slot second.\n")],
)
def test_deactivate_says_what_it_found(run: Run, service: Service, action: str, said: str) -> None:
    answer = {"message": "Active model deactivated", "result": {"action": action, "name": "second"}}
    service.on("POST", "/models/deactivate", answer)
    assert run("deactivate", "--slot", "second") == (0, said, "")


def test_empty_lists_are_sentences(run: Run, service: Service) -> None:
    empty: dict[str, Any] = {"jobs": [], "events": [], "activations": [], "weights": [], "notOurs": []}
    for path in ("/jobs", "/history", "/activations", "/weights"):
        service.on("GET", path, empty)
        code, out, err = run(path[1:])
        assert (code, out) == (0, "")
        assert err.endswith(".\n")


def test_models_tell_what_serves_and_what_is_installed(run: Run, service: Service) -> None:
    models = [
        {"id": "b", "displayName": "B", "stale": True},
        {"id": "dd", "displayName": "D", "tags": ["small", "not-run-here"]},
        {"id": "c", "displayName": "C", "license": "mit", "task": "embed"},
    ]
    slots = [SLOT | {"serving": "c"}, SLOT | {"name": "second", "serving": "c"}, SLOT | {"name": "third"}]
    service.on("GET", "/models", models)
    service.on("GET", "/slots", {"slots": slots})
    service.on("GET", "/weights", {"weights": [{"entry": "b"}, {"entry": None}]})
    assert run("models").out.splitlines() == [
        "ID  NAME  TASK   ACTIVE IN           INSTALLED  LICENSE  NOTE",
        "b   B     chat   -                   yes        -        its file is broken, this is its last good version",
        "c   C     embed  active-llm, second  yes        mit      -",
        "dd  D     chat   -                   no         -        not run here",
    ]
    service.asked.clear()
    assert json.loads(run("models", "-o", "json").out) == models
    assert service.paths() == ["GET /models"]


def test_limits_are_passed_on(run: Run, service: Service) -> None:
    service.on("GET", "/jobs", {"jobs": []})
    run("jobs", "-n", "7")
    assert service.asked[0].query == {"limit": ["7"]}


@pytest.mark.parametrize(
    ("activation", "state"),
    [
        ({"phase": "active", "result": "active", "serving": True}, "active"),
        ({"phase": "active", "result": "active", "serving": False}, "was active"),
        ({"phase": "starting", "result": None, "serving": False}, "starting"),
        ({"phase": "failed", "result": "restored", "serving": False}, "restored"),
    ],
)
def test_only_what_serves_is_called_active(
    run: Run, service: Service, activation: dict[str, Any], state: str
) -> None:
    shown = {"id": "a1", "slot": "s", "modelId": "m", **activation}
    service.on("GET", "/activations", {"activations": [shown]})
    service.on("GET", "/activations/a1", shown)
    assert re.split(" {2,}", run("activations").out.splitlines()[1])[3] == state
    assert f"state       {state}" in run("activations", "show", "a1").out


def test_an_empty_log_is_a_sentence(run: Run, service: Service) -> None:
    service.on("GET", "/jobs/j1/logs", {"lines": []}, {"lines": ["loading"]})
    assert run("jobs", "log", "j1") == (0, "", "Job j1 has logged nothing.\n")
    assert run("jobs", "log", "j1") == (0, "loading\n", "")


@pytest.mark.parametrize(
    ("last", "said"), [(None, []), ("long ago", ["read changed long ago, looked at 3.2 s ago"])]
)
def test_the_catalog_tells_when_it_changed_and_when_it_was_looked_at(
    run: Run, service: Service, last: str | None, said: list[str]
) -> None:
    catalog = {"source": "/c", "kind": "git", "revision": "1a2b", "count": 0, "problems": [], "error": None}
    times = {"loadedAt": last, "ageSeconds": 3.2, "staleSince": None}
    service.on("GET", "/catalog", catalog | times)
    lines = [" ".join(line.split()) for line in run("catalog").out.splitlines()]
    assert [line for line in lines if line.startswith("read ")] == said


SLOT = {"name": "active-llm", "serving": None, "lastGood": None, "inFlight": 0}


@pytest.mark.parametrize(
    ("slot", "sentence"),
    [
        ({"state": "empty", "desired": None}, "active-llm: empty. Activate a model: `model-manager run ID`."),
        ({"state": "active", "desired": {"modelId": "a"}}, "active-llm: a is active."),
        ({"state": "failed", "desired": {"modelId": "a"}}, "active-llm: a failed and nothing serves."),
        (
            {"state": "installing", "desired": {"modelId": "a"}, "serving": "b"},
            "active-llm: a is on its way (installing); b still serves.",
        ),
    ],
    ids=lambda value: value["state"] if isinstance(value, dict) else "",
)
def test_status_in_words(run: Run, service: Service, slot: dict[str, Any], sentence: str) -> None:
    catalog = {"count": 3, "revision": "1a2b3c4d5e6f7a8b"}
    info = {"version": "0.1.0", "platform": "local", "catalog": catalog, "problems": ["The disk is full."]}
    service.on("GET", "/system/info", info)
    service.on("GET", "/slots", {"slots": [SLOT | slot]})
    lines = run("status").out.splitlines()
    assert lines[1:4] == ["catalog: 3 models at commit 1a2b3c4d5e6f", "problem: The disk is full.", sentence]


def details(run: Run, service: Service, slot: dict[str, Any]) -> list[str]:
    """What `status` says below the sentence of a slot."""
    catalog = {"count": 3, "revision": "1a2b3c4d5e6f7a8b"}
    info = {"version": "0.1.0", "platform": "local", "catalog": catalog, "problems": []}
    service.on("GET", "/system/info", info)
    service.on("GET", "/slots", {"slots": [SLOT | slot]})
    return [" ".join(line.split()) for line in run("status").out.splitlines()[3:]]


FAILED = {
    "id": "a2",
    "modelId": "big",
    "endedAt": "long ago",
    "reason": "Out of memory.",
    "hint": "Use a smaller one.",
}


def test_status_tells_why_the_newest_attempt_failed(run: Run, service: Service) -> None:
    """The last good model serves again; what was wanted instead is not forgotten."""
    slot = {"state": "active", "desired": {"id": "a3", "modelId": "a"}, "reason": "", "lastFailure": FAILED}
    assert details(run, service, slot) == [
        "activation a3",
        "last failure big, long ago: Out of memory.",
        "its hint Use a smaller one.",
    ]


def test_status_tells_once_why_nothing_serves(run: Run, service: Service) -> None:
    reasons: dict[str, Any] = {"reason": "Out of memory.", "lastFailure": FAILED}
    assert details(run, service, {"state": "failed", "desired": FAILED, **reasons}) == [
        "activation a2",
        "reason Out of memory.",
        "hint Use a smaller one.",
    ]
    starting = {"id": "a3", "modelId": "a", "reason": "", "hint": ""}
    reasons = {"reason": "The model server is loading.", "lastFailure": None}
    assert details(run, service, {"state": "starting", "desired": starting, **reasons}) == [
        "activation a3",
        "reason The model server is loading.",
    ]


def test_status_tells_a_stale_catalog_and_broken_entries(run: Run, service: Service) -> None:
    catalog = {"count": 1, "revision": "1a2b3c", "error": "The catalog cannot be fetched.", "problems": 2}
    info = {"version": "0.1.0", "platform": "local", "catalog": catalog, "problems": []}
    service.on("GET", "/system/info", info)
    service.on("GET", "/slots", {"slots": []})
    assert run("status").out.splitlines()[1:] == [
        "catalog: 1 model at commit 1a2b3c",
        "  stale: The catalog cannot be fetched.",
        "  2 problems in its files: `model-manager catalog` lists them.",
    ]


def test_names_in_a_list_do_not_command_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.look, "color", output.Color.always)
    output.table(("MODELS",), [[["demo", "\x1b]0;owned\x07"]]], "")
    told = capsys.readouterr().out
    assert "demo, ]0;owned" in told
    assert "\x1b]" not in told


def test_events_resume_where_they_broke_off(service: Service) -> None:
    """W16 as a client sees it: the second connection asks for what followed the last id."""
    event = b'id: 7\ndata: {"id":"7","event":"e","subject":"s","actor":"a","createdAt":"t"}\n\n'
    service.on("GET", "/events", Reply(iter([b"id: 6\n\n", event]), content_type="text/event-stream"))
    command = [sys.executable, "-m", "model_manager", "events", "--url", service.url]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as follower:
        assert follower.stdout
        assert follower.stdout.readline() == "t  e  s\n"
        until_sync(lambda: len(service.asked) == 2)
        follower.terminate()
    assert [asked.query.get("after") for asked in service.asked] == [None, ["7"]]


def test_what_the_terminal_cannot_write_is_a_question_mark(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once with the stream of an old locale: `UnicodeEncodeError` was called a fault of ours."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    service.on("GET", "/jobs", {"jobs": [{"id": "j1", "type": "w", "key": "grün", "status": "completed"}]})
    assert run("jobs").code == 0
    assert b"gr?n" in written.getvalue()
