"""Waiting for jobs and activations: progress, ends of every kind, and a service that goes away meanwhile."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_manager.cli import waiting
from model_manager.cli.progress import Lines, describe
from model_manager.cli.waiting import wait_for_job
from model_manager.client import Client, NotReachable
from model_manager.client.types import Activation, JobProgress, JobView
from tests.cli.answers import complete, told
from tests.cli.conftest import Run
from tests.cli.service import Asked, Reply, Service
from tests.programs import running
from tests.waiting import until_sync


def job(status: str, **facts: Any) -> dict[str, Any]:
    return {
        "id": "j1",
        "type": "weight_install",
        "key": "demo",
        "status": status,
        "error": None,
        "hint": None,
        **facts,
    }


def halfway(done: int) -> dict[str, Any]:
    progress = {"bytesDone": done, "bytesTotal": 2000, "rate": 1000.0, "eta": 1.0, "file": "demo.gguf"}
    return job("running", progress=progress)


def activation(phase: str, result: str | None = None, **facts: Any) -> dict[str, Any]:
    return {"id": "a1", "slot": "active-llm", "modelId": "demo", "phase": phase, "result": result, **facts}


def slot(state: str) -> dict[str, Any]:
    return {"name": "active-llm", "state": state, "desired": activation("active", "active")}


ACCEPTED = Reply({"status": "accepted", "activation": activation("queued")}, 202)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (None, ""),
        ({"bytesDone": 0, "bytesTotal": 0}, "0 B"),
        ({"bytesDone": 1234}, "1.2 kB"),
        ({"bytesDone": 500, "bytesTotal": 2000}, "25 %, 500 B of 2.0 kB"),
        (
            {"bytesDone": 4 * 10**9, "bytesTotal": 8 * 10**9, "rate": 5e7, "eta": 80, "file": "a.gguf"},
            "50 %, 4.0 GB of 8.0 GB, 50.0 MB/s, 1 min 20 s left, a.gguf",
        ),
    ],
)
def test_progress_in_words(progress: dict[str, Any] | None, text: str) -> None:
    assert describe(progress and told(JobProgress, progress)) == text


def test_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as shown:
        for done in range(1000):
            shown.show("installing", told(JobProgress, {"bytesDone": done, "bytesTotal": 1000}))
        shown.show("starting", None)
        shown.show("starting", None)
    assert capsys.readouterr().err.splitlines() == ["installing 0 %, 0 B of 1.0 kB", "starting"]


def test_an_install_is_followed_to_its_end(run: Run, service: Service) -> None:
    service.on("POST", "/weights/install", Reply({"status": "queued", "job": job("pending")}, 202))
    service.on(
        "GET",
        "/jobs/j1",
        job("pending"),
        halfway(500),
        job("completed", result={"message": "demo is installed."}),
    )
    code, out, err = run("weights", "install", "demo")
    assert (code, out) == (0, "demo is installed.\n")
    assert err.splitlines() == [
        "Installing the weights of demo: waiting",
        "Installing the weights of demo: running 25 %, 500 B of 2.0 kB, 1.0 kB/s, 1.0 s left, demo.gguf",
    ]
    assert service.asked[0].payload == {"id": "demo"}


REASON = "The hub did not answer."


def test_an_install_that_is_tried_again_says_why(run: Run, service: Service) -> None:
    again = job("pending", attempts=1, error=REASON, payload={"modelId": "mine"})
    service.on(
        "GET",
        "/jobs/j1",
        again,
        again | {"status": "running", "attempts": 2, "error": None},
        job("completed"),
    )
    assert run("jobs", "wait", "j1").err.splitlines() == [
        f"Installing the weights of mine: waiting, attempt 2: {REASON}",
        f"Installing the weights of mine: running, attempt 2: {REASON}",
    ]


def test_a_second_attempt_whose_reason_nobody_saw(run: Run, service: Service) -> None:
    service.on("GET", "/jobs/j1", job("running", attempts=2), job("completed"))
    assert run("jobs", "wait", "j1").err == "Installing the weights of demo: running, attempt 2\n"


def test_activate_says_why_the_install_is_tried_again(run: Run, service: Service) -> None:
    service.on("POST", "/models/activate", ACCEPTED)
    served = activation("active", "active")
    service.on("GET", "/activations/a1", activation("installing", jobId="j1"), served)
    service.on("GET", "/jobs/j1", job("pending", attempts=2, error=REASON))
    service.on("GET", "/slots/active-llm", slot("active"))
    assert run("activate", "demo").err == f"demo: installing, attempt 3: {REASON}\n"


def test_an_install_is_not_waited_for(run: Run, service: Service) -> None:
    service.on("POST", "/weights/install", Reply({"status": "queued", "job": job("pending")}, 202))
    code, out, _ = run("weights", "install", "demo", "--no-wait")
    assert code == 0
    assert "model-manager jobs wait j1" in out
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "arguments",
    [("weights", "install", "demo"), ("jobs", "wait", "j1"), ("weights", "install", "demo", "--no-wait")],
    ids=" ".join,
)
def test_json_of_an_install_is_its_job_alone(run: Run, service: Service, arguments: tuple[str, ...]) -> None:
    done = job("completed", result={"message": "demo is installed."})
    service.on("POST", "/weights/install", Reply({"status": "queued", "job": job("pending")}, 202))
    service.on("GET", "/jobs/j1", halfway(500), done)
    code, out, err = run(*arguments, "-o", "json")
    waited = "--no-wait" not in arguments
    assert (code, json.loads(out)) == (0, complete(JobView, done if waited else job("pending")))
    assert ("25 %" in err) == waited


def test_a_failed_job_says_why(run: Run, service: Service) -> None:
    failed = job("failed", error="The disk is full.", errorCode="no_space", hint="Free 3 GB.")
    service.on("GET", "/jobs/j1", halfway(1), failed)
    code, _, err = run("jobs", "wait", "j1")
    assert code == 1
    assert err.endswith("error: The disk is full.\n  Free 3 GB.\n")


def test_a_cancelled_job(run: Run, service: Service) -> None:
    service.on("GET", "/jobs/j1", job("cancelled"))
    code, _, err = run("jobs", "wait", "j1")
    assert code == 1
    assert "error: Job j1 was cancelled.\n" in err


def test_activate_waits_until_it_serves(run: Run, service: Service) -> None:
    service.on("POST", "/models/activate", ACCEPTED)
    service.on(
        "GET",
        "/activations/a1",
        activation("installing", jobId="j1"),
        activation("starting", jobId="j1"),
        activation("active", "active"),
    )
    service.on("GET", "/jobs/j1", halfway(500))
    service.on("GET", "/slots/active-llm", slot("active"))
    code, out, err = run("activate", "demo")
    assert (code, out) == (0, "demo is active in slot active-llm.\n")
    assert [line.split(",")[0] for line in err.splitlines()] == ["demo: installing 25 %", "demo: starting"]


def test_an_active_model_that_starts_again_is_waited_for(run: Run, service: Service) -> None:
    """After a restart of the service the activation is `active`, and its process is not there yet."""
    service.on("POST", "/models/activate", ACCEPTED)
    service.on("GET", "/activations/a1", activation("active", "active"))
    service.on("GET", "/slots/active-llm", slot("starting"), slot("active"))
    assert run("activate", "demo").code == 0
    assert service.paths().count("GET /slots/active-llm") == 2


def test_activate_in_another_slot_without_waiting(run: Run, service: Service) -> None:
    service.on("POST", "/models/activate", ACCEPTED)
    code, out, _ = run("activate", "demo", "--slot", "second", "--no-wait")
    assert (code, out) == (0, "Accepted. Activation a1 is queued.\n")
    assert service.asked[0].payload == {"id": "demo", "slot": "second"}


@pytest.mark.parametrize("waited", [True, False])
def test_json_of_activate_is_the_activation_alone(run: Run, service: Service, waited: bool) -> None:
    service.on("POST", "/models/activate", ACCEPTED)
    service.on("GET", "/activations/a1", activation("starting"), activation("active", "active"))
    service.on("GET", "/slots/active-llm", slot("active"))
    code, out, err = run("activate", "demo", "-o", "json", "--wait" if waited else "--no-wait")
    expected = activation("active", "active") if waited else activation("queued")
    assert (code, json.loads(out)) == (0, complete(Activation, expected))
    assert err


@pytest.mark.parametrize("result", ["failed", "restored", "superseded", "cancelled"])
def test_an_activation_that_does_not_serve(run: Run, service: Service, result: str) -> None:
    ended = activation(
        "failed",
        result,
        reason="It ran out of memory.",
        hint="Use a smaller one.",
        logTail=["loading", "boom"],
    )
    service.on("POST", "/models/activate", ACCEPTED)
    service.on("GET", "/activations/a1", ended)
    code, out, err = run("activate", "demo")
    assert (code, out) == (1, "")
    assert err.startswith("  | loading\n  | boom\nerror: ")
    assert "It ran out of memory.\n  Use a smaller one." in err


def test_c1_a_service_that_restarts_meanwhile_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    services = [Service()]
    services[0].on("GET", "/jobs/j1", halfway(500))

    def pause(_: float) -> None:
        """Between the first looks the service goes away, and then comes back."""
        if len(services) == 1:
            services[0].close()
            services.append(services[0])
        elif len(services) == 2:
            services.append(Service(services[0].port))
            services[2].on("GET", "/jobs/j1", job("completed"))

    assert wait_for_job(Client(services[0].url), "j1", pause).status == "completed"
    services[2].close()
    assert "Model Manager does not answer; waiting for it to come back." in capsys.readouterr().err


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    service.close()
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    with pytest.raises(NotReachable):
        wait_for_job(Client(service.url), "j1", pause=lambda _: None)


def test_ctrl_c_leaves_the_work_to_the_service(service: Service, tmp_path: Path) -> None:
    service.on("POST", "/models/activate", ACCEPTED)
    service.on("GET", "/activations/a1", activation("starting"))
    command = [sys.executable, "-m", "model_manager", "activate", "demo", "--url", service.url]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        until_sync(lambda: "GET /activations/a1" in service.paths())
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=10)
    assert program.returncode == 130
    assert out == ""
    assert "The service goes on with it: `model-manager activations show a1`." in err
    assert "Traceback" not in err


def test_a_terminal_gets_a_bar(service: Service) -> None:
    def answer(_: Asked) -> Reply:
        done = sum(path == "GET /jobs/j1" for path in service.paths())
        return Reply(halfway(done * 400) if done < 5 else job("completed"))

    service.on("GET", "/jobs/j1", answer)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "model_manager", "jobs", "wait", "j1", "--url", service.url]
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with running(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environ) as program:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 10_000):
                shown += piece
        except OSError:  # how Linux tells that the other side has closed
            pass
        assert program.stdout and program.stdout.read() == b"Job j1 is completed.\n"
        assert program.wait(10) == 0
    os.close(ours)
    assert "Installing the weights of demo: running" in shown.decode()
    assert "400 B of 2.0 kB" in shown.decode()
    assert "━" in shown.decode()
