"""Tables, YAML, ids alone, colours and quiet: what is printed for whom."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_manager.cli import (
    activations,
    catalog,
    configuration,
    entries,
    forecast,
    history,
    jobs,
    metrics,
    models,
    records,
    slots,
    token,
    weights,
    why,
)
from model_manager.client import types
from tests.cli.answers import told
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service, problem
from tests.programs import running

LISTS: list[tuple[str, str, dict[str, Any] | list[Any], list[str]]] = [
    ("jobs", "/jobs", {"jobs": [{"id": "j2"}, {"id": "j1"}]}, ["j2", "j1"]),
    ("activations", "/activations", {"activations": [{"id": "a1"}]}, ["a1"]),
    ("slots", "/slots", {"slots": [{"name": "active-llm"}]}, ["active-llm"]),
    ("status", "/slots", {"slots": [{"name": "active-llm"}]}, ["active-llm"]),
    ("models", "/models", [{"id": "m1"}, {"id": "m2"}], ["m1", "m2"]),
    ("weights", "/weights", {"weights": [{"name": "w1"}]}, ["w1"]),
    ("token", "/tokens", {"tokens": [{"name": "ci"}]}, ["ci"]),
    ("history", "/history", {"events": [{"id": "7"}]}, ["7"]),
    ("settings", "/settings", {"settings": [{"name": "host"}]}, ["host"]),
    ("jobs show j1", "/jobs/j1", {"id": "j1"}, ["j1"]),
    ("weights info w1", "/weights/w1/info", {"name": "w1"}, ["w1"]),
]


@pytest.mark.parametrize(("command", "path", "answer", "ids"), LISTS, ids=[row[0] for row in LISTS])
def test_ids_alone_are_for_xargs(
    run: Run, service: Service, command: str, path: str, answer: Any, ids: list[str]
) -> None:
    service.on("GET", path, answer)
    assert run(*command.split(), "-o", "name") == (0, "".join(f"{one}\n" for one in ids), "")


@pytest.mark.parametrize(("command", "path", "answer", "ids"), LISTS, ids=[row[0] for row in LISTS])
def test_yaml_is_the_apis_answer(
    run: Run, service: Service, command: str, path: str, answer: Any, ids: list[str]
) -> None:
    service.on("GET", path, Reply(json.dumps(answer).encode()))
    code, out, err = run(*command.split(), "-o", "yaml")
    assert (code, yaml.safe_load(out), err) == (0, answer, "")


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_x1_data_does_not_command_the_terminal(service: Service, form: str) -> None:
    service.on("GET", "/jobs", {"jobs": [], "evil": "a\x1b[2J\u202eb"})
    out = shown(service, "jobs", "-o", form)
    assert "\x1b" not in out and "\u202e" not in out
    assert yaml.safe_load(out)["evil"] == "a\x1b[2J\u202eb"  # JSON is YAML


@pytest.mark.parametrize(
    ("command", "method", "path", "answer", "id_"),
    [
        (
            "weights install a --no-wait",
            "POST",
            "/weights/install",
            Reply({"job": {"id": "j1", "status": "pending"}}, 202),
            "j1",
        ),
        (
            "activate a --no-wait",
            "POST",
            "/models/activate",
            Reply({"activation": {"id": "a1", "phase": "queued"}}, 202),
            "a1",
        ),
        ("jobs retry j0", "POST", "/jobs/j0/retry", {"id": "j1", "status": "pending"}, "j1"),
        ("slots clear s", "DELETE", "/slots/s", {"name": "s"}, "s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_id_of_what_was_begun(
    run: Run, service: Service, command: str, method: str, path: str, answer: Any, id_: str
) -> None:
    service.on(method, path, answer)
    assert run(*command.split(), "-o", "name", "-q") == (0, f"{id_}\n", "")


def test_quiet_says_results_and_errors_alone(run: Run, service: Service) -> None:
    service.on("GET", "/jobs", {"jobs": []})
    service.on("DELETE", "/slots/s", {"name": "s"})
    assert run("jobs", "-q") == (0, "", "")
    assert run("slots", "clear", "s", "-q") == (0, "", "")
    assert run("slots", "clear", "t", "-q").err.startswith("error: ")
    running = {"id": "j1", "type": "weight_install", "key": "k", "status": "running"}
    service.on("GET", "/jobs/j1", running, running | {"status": "completed"})
    assert run("jobs", "wait", "j1", "-q") == (0, "", "")


ROW = {"id": "j1", "type": "weight_install", "key": "k", "status": "completed"}


def shown(service: Service, *arguments: str, terminal: bool = True, **environ: str) -> str:
    """What the program prints to a terminal of 60 columns, or into a pipe."""
    command = [sys.executable, "-m", "model_manager", *arguments, "--url", service.url]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60", **environ}
    if not terminal:
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=20, check=True).stdout
    ours, theirs = pty.openpty()
    with running(command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=env) as program:
        os.close(theirs)
        data = b""
        try:
            while piece := os.read(ours, 10_000):
                data += piece
        except OSError:  # how Linux tells that the other side has closed
            pass
        assert program.wait(10) == 0
    os.close(ours)
    return data.decode()


COLOURED = [
    ([], True, {}, True),
    ([], False, {}, False),
    ([], True, {"NO_COLOR": "1"}, False),
    ([], True, {"TERM": "dumb"}, False),
    (["--color", "never"], True, {}, False),
    (["--color", "always"], False, {}, True),
    (["--color", "always"], False, {"NO_COLOR": "1"}, True),
]


@pytest.mark.parametrize(("flags", "terminal", "environ", "coloured"), COLOURED)
def test_when_there_are_colours(
    service: Service, flags: list[str], terminal: bool, environ: dict[str, str], coloured: bool
) -> None:
    service.on("GET", "/jobs", {"jobs": [ROW]})
    out = shown(service, "jobs", *flags, terminal=terminal, **environ)
    assert ("\x1b[32mcompleted" in out) == coloured
    assert "completed" in out
    if "never" in flags or environ.get("TERM") == "dumb":
        assert "\x1b" not in out


def test_a_narrow_terminal_gets_fewer_columns_or_a_fact_a_line(service: Service) -> None:
    long = "Some Model With a Name of Many Words"
    service.on("GET", "/models", [{"id": "qwen", "displayName": long, "license": "Apache-2.0", "tags": []}])
    service.on("GET", "/weights", {"weights": []})
    service.on("GET", "/slots", {"slots": []})
    heads = [
        shown(service, "models", "--color", "never", COLUMNS=columns).split("\r\n")[0].split()
        for columns in ("120", "50", "20")
    ]
    assert "NAME" in heads[0] and "LICENSE" in heads[0]
    assert "LICENSE" not in heads[1] and "NOTE" in heads[1]
    assert heads[2] == ["qwen"]


def test_a_table_fits_the_terminal_and_ids_stay_whole(service: Service) -> None:
    service.on("GET", "/jobs", {"jobs": [ROW | {"id": "0123456789abcdef", "key": "long " * 30}]})
    lines = shown(service, "jobs", "--color", "never").splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("0123456789abcdef") for line in lines)


def test_a_pipe_gets_one_line_each(service: Service) -> None:
    service.on("GET", "/jobs", {"jobs": [ROW | {"key": "long " * 30}]})
    assert len(shown(service, "jobs", terminal=False).splitlines()) == 2


def test_x1_markup_is_text(service: Service) -> None:
    service.on("GET", "/jobs", {"jobs": [ROW | {"key": "[red]x[/red]\x1b"}]})
    assert "[red]x[/red]" in shown(service, "jobs", "--color", "never")


def test_what_is_not_needed_is_not_imported(service: Service) -> None:
    service.on("GET", "/jobs", {"jobs": [ROW]})
    heavy = ("rich", "yaml", "pydantic", "starlette", "asyncio")
    program = (
        f"import sys; from model_manager.cli import main; main(['jobs', '--url', {service.url!r}]); "
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_more_than_is_shown(run: Run, service: Service) -> None:
    service.on("GET", "/jobs", Reply({"jobs": [ROW], "next": "abc"}))
    assert run("jobs", "-n", "1").err == "There are more: `-n` takes a larger number.\n"


TOLD: list[tuple[records.Told, Any]] = [
    (activations.COLUMNS, types.Activation), (activations.FACTS, types.Activation), (why.FAILURE, types.Activation),
    (catalog.FACTS, types.CatalogView), (configuration.COLUMNS, types.SettingView), (entries.CHECKS, types.Check),
    (forecast.FACTS, types.Forecast), (history.COLUMNS, types.HistoryEvent), (jobs.COLUMNS, types.JobView),
    (jobs.FACTS, types.JobView), (why.JOB, types.JobView), (slots.COLUMNS, types.Slot),
    (models.TESTED, types.Check),
    (token.COLUMNS, types.TokenInfo), (weights.COLUMNS, types.WeightInfo), (weights.FACTS, types.WeightDetails),
    (weights.USAGE, types.Usage),
]  # fmt: skip


@pytest.mark.parametrize(("table", "kind"), TOLD)
def test_what_a_table_tells_is_in_the_api(table: records.Told, kind: Any) -> None:
    records.print_facts(table, told(kind, {}))  # fails of a field that there is not


@pytest.mark.parametrize(("field", "name"), [(field, name) for name, field, _ in metrics.ROWS])
def test_what_metrics_tell_is_in_the_api(field: str, name: str) -> None:
    assert field in types.MetricsHistory.__struct_fields__, name


def test_a_service_that_is_not_ready(run: Run, service: Service) -> None:
    service.on("GET", "/readyz", Reply({"status": "not_ready", "reasons": ["The disk is full."]}, 503))
    assert run("health") == (1, "not_ready\n  The disk is full.\n", "")
    code, out, err = run("health", "-o", "json")
    assert (code, json.loads(out)["status"], err) == (1, "not_ready", "")
    service.on("GET", "/readyz", problem(503, "Too many connections."))
    for form in ("text", "json"):
        assert run("health", "-o", form) == (1, "", "error: Too many connections.\n")


def test_what_the_doctor_found(run: Run, service: Service) -> None:
    lacking = {"name": "right:nodes", "status": "warn", "sentence": "It may not list nodes.", "hint": "Grant it.",
               "command": "kubectl create clusterrole x"}  # fmt: skip
    well = {"name": "disk", "status": "ok", "sentence": "There is room.", "hint": "never shown"}
    service.on("GET", "/system/doctor", Reply({"status": "warn", "findings": [lacking, well]}))
    code, out, err = run("doctor")
    assert (code, err) == (0, "1 ok, 1 warn.\n")
    assert out.splitlines() == [
        "warn     right:nodes  It may not list nodes.",
        "                      Grant it.",
        "                      kubectl create clusterrole x",
        "ok       disk         There is room.",
    ]
    service.on("GET", "/system/doctor", Reply({"status": "fail", "findings": [{**well, "status": "fail"}]}))
    assert run("doctor").code == 1
    code, out, _ = run("doctor", "-o", "json")
    assert (code, json.loads(out)["findings"][0]["name"]) == (1, "disk")


def test_a_model_that_could_not_be_served(run: Run, service: Service) -> None:
    checks = [{"name": "secret:s", "status": "fail", "message": "It is not there."}]
    answer = {"status": "warning", "dryRun": {"action": "create", "manifest": {}}, "checks": checks}
    service.on("POST", "/models/test", Reply(answer))
    code, out, err = run("models", "test", "demo", "--slot", "second")
    assert (code, err) == (1, "It could not be served as it is.\n")
    assert "secret:s  fail    It is not there." in out
    assert service.asked[-1].payload == {"id": "demo", "slot": "second"}


def test_an_entry_that_could_not_be_served(run: Run, service: Service, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"id": "mine", "nodeSelector": {}}')
    command = ("catalog", "validate", str(tmp_path / "mine.json"))
    checks = [{"name": "runtime", "status": "fail", "message": "No such runtime."}]
    service.on("POST", "/catalog/validate", Reply({"valid": False, "checks": checks}, 400))
    code, out, err = run(*command)
    assert (code, err) == (1, "It could not be served as it is.\n")
    assert "No such runtime." in out
    assert service.asked[0].payload == {"id": "mine", "nodeSelector": {}}
    code, out, _ = run(*command, "-o", "json")
    assert (code, json.loads(out)["valid"]) == (1, False)
    service.on("POST", "/catalog/validate", problem(400, "There is no slot 'x'."))
    for form in ("text", "json"):
        assert run(*command, "-o", form) == (2, "", "error: There is no slot 'x'.\n")
