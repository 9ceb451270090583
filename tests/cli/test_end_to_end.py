"""The whole way, with the real service, engine and demo model: quickstart, then each command beside it."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.programs import running
from tests.waiting import until_sync

pytestmark = pytest.mark.xdist_group("end_to_end")  # one worker: what its tests share is started once

PROGRAM = [sys.executable, "-m", "model_manager"]


class Quickstart:
    """A running quickstart and what it has said so far."""

    def __init__(self, state: Path, said: Path, *more: str) -> None:
        self.said = said
        with said.open("w") as file:
            self.program = subprocess.Popen(
                [*PROGRAM, "quickstart", "--state-path", str(state), "--server-port", str(free_port()), *more],
                stdout=file, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self.wait_for("Ctrl-C stops it")

    def wait_for(self, text: str) -> None:
        until_sync(lambda: text in self.said.read_text() or self.program.poll() is not None, timeout=60)
        assert text in self.said.read_text()

    def stop(self) -> int:
        self.program.send_signal(signal.SIGINT)
        try:
            return self.program.wait(30)
        finally:
            self.program.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes_of(state: Path) -> list[str]:
    """Command lines of processes that name the state folder: nothing of ours may be left."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has ended
            continue
        if str(state) in line:
            found.append(line)
    return found


def catalog_without_demo(folder: Path) -> Path:
    """A catalog of one's own, with which the quickstart cannot show its way."""
    models = folder / "catalog" / "models"
    models.mkdir(parents=True)
    (models / "mine.json").write_text('{"id": "mine", "hfModelId": "a/b"}')
    return models.parent


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of a service that several tests use."""
    folder = tmp_path_factory.mktemp("shared")
    started = Quickstart(folder / "state", folder / "said")
    yield folder / "state"
    assert started.stop() == 0


@pytest.fixture
def beside(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of this test find the shared service, as in another terminal."""
    monkeypatch.setenv("STATE_PATH", str(shared))
    return shared


def test_quickstart_check(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*PROGRAM, "quickstart", "--check"], capture_output=True, text=True, timeout=100, env=environ
    )
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"^ *\d+\.\d\d s  (\w+)", done.stdout, re.MULTILINE)
    assert steps == ["Model", "Catalog", "Weights", "demo", "demo"]
    assert "Yes, it works." in done.stdout
    assert re.search(r"Everything is stopped again\. The whole way took \d+\.\d s\.\n$", done.stdout)
    assert list(tmp_path.glob("model-manager-check-*")) == []
    assert processes_of(tmp_path) == []


def test_quickstart_check_says_why_not(tmp_path: Path) -> None:
    catalog = catalog_without_demo(tmp_path)
    done = subprocess.run(
        [*PROGRAM, "quickstart", "--check", "--catalog-root", str(catalog)],
        capture_output=True, text=True, timeout=100, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: This catalog has no model 'demo'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_quickstart_that_fails_offers_no_chat(state: Path, tmp_path: Path) -> None:
    """The service stays, for one to look what is wrong."""
    catalog = catalog_without_demo(tmp_path)
    quickstart = Quickstart(state, tmp_path / "said", "--catalog-root", str(catalog))
    quickstart.stop()
    assert "The service goes on at http://" in quickstart.said.read_text()
    assert "Next" not in quickstart.said.read_text()


def test_a_second_start_only_chats(state: Path, tmp_path: Path, run: Run) -> None:
    quickstart = Quickstart(state, tmp_path / "said")
    assert quickstart.stop() == 0
    assert "Stopping." in quickstart.said.read_text()
    assert not (state / "service.json").exists()
    assert processes_of(state) == []
    assert "MODEL_MANAGER_CONTEXT" not in quickstart.said.read_text()
    run("context", "add", "prod", "--url", "https://prod.example")
    run("context", "use", "prod")
    again = Quickstart(state, tmp_path / "said again")
    assert "export MODEL_MANAGER_CONTEXT=local" in again.said.read_text()
    assert "Weights of" not in again.said.read_text()
    assert "Yes, it works." in again.said.read_text()
    assert again.stop() == 0


def test_events_are_followed(beside: Path, run: Run) -> None:
    command = [*PROGRAM, "events", "-o", "json"]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout and follower.stderr
        # There is no word for "listening now": refreshing until something comes is the wait for it.
        os.set_blocking(follower.stdout.fileno(), False)

        def first_line() -> str:
            run("weights", "install", "demo", "--no-wait")
            return follower.stdout.readline() if follower.stdout else ""

        line = until_sync(first_line, every=0.2)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
        assert follower.stderr.read().strip() == ""
    assert json.loads(line)


def test_the_log_is_followed(beside: Path, run: Run) -> None:
    command = [*PROGRAM, "logs", "-f", "-n", "1"]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout and follower.stderr
        assert follower.stdout.readline() != ""
        assert run("run", "demo", "hello").code == 0
        assert follower.stdout.readline() != ""
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130


def test_every_command_beside_it(beside: Path, run: Run, tmp_path: Path) -> None:
    token = (beside / "token").read_text().strip()

    def ok(*arguments: str) -> str:
        code, out, err = run(*arguments)
        assert code == 0, (arguments, err)
        assert token not in out + err
        return out

    assert "active-llm: demo is active." in ok("status")
    assert json.loads(ok("status", "-o", "json"))["slots"][0]["state"] == "active"
    assert "demo-pirate" in ok("models")
    assert json.loads(ok("models", "show", "demo"))["id"] == "demo"
    assert json.loads(ok("models", "manifest", "demo"))["kind"] == "InferenceService"
    assert str(beside / "catalog") in ok("catalog")
    assert "Catalog refreshed" in ok("catalog", "refresh")
    assert "slot active-llm" in ok("weights")
    assert "free" in ok("weights", "usage")
    assert "sha256:" in ok("weights", "info", "demo")
    assert "completed" in ok("jobs")
    job = json.loads(ok("jobs", "-o", "json"))["jobs"][0]["id"]
    ok("jobs", "wait", job)
    assert "completed" in ok("jobs", "show", job)
    ok("jobs", "log", job)
    assert run("jobs", "cancel", job).code == 1
    assert "active" in ok("activations")
    activation = json.loads(ok("activations", "-o", "json"))["activations"][0]["id"]
    assert "demo" in ok("activations", "show", activation)
    assert run("activations", "cancel", activation).code == 1
    assert "model_activated" in ok("history")
    assert "model_activated" in ok("events", "--no-follow", "--since", "1h", "--kind", "model_activated")
    assert ok("slots", "-o", "name") == "active-llm\n"
    assert "Nothing is to be done." in ok("why")
    assert "serves in" in ok("forecast", "demo")
    assert "STATE_PATH" in ok("settings")
    assert ok("health") == "ready\n"
    ok("metrics")
    ok("slots", "show", "active-llm")
    assert activation in ok("slots", "activations", "active-llm")
    entry = str(beside / "catalog" / "models" / "demo.json")
    assert '"InferenceService"' in ok("catalog", "preview", entry)
    assert "pass" in ok("catalog", "validate", entry)
    assert ok("support-bundle", "-o", str(tmp_path / "bundle.zip")).startswith("Wrote")
    assert zipfile.is_zipfile(tmp_path / "bundle.zip")
    assert ok("logs", "-n", "3") != ""
    assert ok("run", "demo", "hello").startswith("Hello! I am the demo model")
    assert ok("run", "demo-pirate", "hello").startswith("Ahoy!")
    assert "demo-pirate is active" in ok("slots", "set", "active-llm", "demo-pirate")
    assert "demo-pirate is active" in ok("activate", "demo-pirate")
    assert run("weights", "delete", "demo-pirate").code == 1
    assert "Deleted" in ok("weights", "delete", "demo")
    assert "demo is installed" in ok("weights", "install", "demo")
    assert "sound" in ok("state", "check")
    ok("state", "backup", str(tmp_path / "copy.db"))
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM activations").fetchone()[0] == 2
    copy.close()
    assert run("quickstart").code == 1
    assert "Slot active-llm is empty now." in ok("deactivate")
    assert "Nothing was active in slot active-llm." in ok("deactivate")
    assert "active-llm: empty." in ok("status")
    assert "Slot active-llm is empty now." in ok("slots", "clear", "active-llm")
    assert run("chat").code == 5


def test_a_token_that_may_only_read(beside: Path, run: Run, tmp_path: Path) -> None:
    """Issued, used through a context, refused what it may not, and revoked."""
    url = json.loads((beside / "service.json").read_text())["url"]
    (tmp_path / "secret").write_text(
        run("token", "create", "looker", "--scope", "read", "--expires", "1d").out
    )
    assert run("context", "add", "ro", "--url", url, "--token-file", str(tmp_path / "secret")).code == 0
    assert "token:looker" in run("token", "current", "-c", "ro").out
    assert run("status", "-c", "ro").code == 0
    for refused in (("deactivate",), ("token",), ("support-bundle", "-o", str(tmp_path / "x.zip"))):
        code, _, err = run(*refused, "-c", "ro")
        assert code == 4
        assert "token:looker has scope read." in err
        assert f"The token is from {tmp_path / 'secret'}, the token file of context ro." in err
    assert run("token", "revoke", "looker").code == 0
    code, _, err = run("deactivate", "-c", "ro")
    assert code == 4
    assert "was revoked" in err
    (tmp_path / "secret").write_text("wrong")
    assert run("deactivate", "-c", "ro").code == 4


def test_a_service_that_was_killed(state: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with running([*PROGRAM, "serve", "--server-port", "0"], stderr=subprocess.DEVNULL) as program:
        until_sync(lambda: (state / "service.json").exists() or program.poll() is not None, timeout=30)
        monkeypatch.setenv("MODEL_MANAGER_URL", json.loads((state / "service.json").read_text())["url"])
        until_sync(lambda: run("health").code == 0)
        with running([*PROGRAM, "events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
            assert follower.stdout and follower.stderr
            run("catalog", "refresh")
            until_sync(lambda: run("weights", "install", "demo", "--no-wait").code == 0)
            assert follower.stdout.readline() != b""
            program.kill()
            program.wait(10)
            assert b"Trying again." in follower.stderr.readline()
            follower.send_signal(signal.SIGINT)
            assert follower.wait(10) == 130
    code, _, err = run("status")
    assert code == 3
    assert "does not answer" in err


def test_serve_ends_on_term(state: Path, tmp_path: Path) -> None:
    said = tmp_path / "log"
    with (
        said.open("w") as log,
        running([*PROGRAM, "serve", "--server-port", "0"], stdout=log, stderr=log) as program,
    ):
        until_sync(lambda: "listens on" in said.read_text() or program.poll() is not None, timeout=30)
        program.terminate()
        assert program.wait(30) == 0
    assert "Traceback" not in said.read_text()
