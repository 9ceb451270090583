"""Where the service is looked for, and who gets to see the token."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_manager.cli.address import connect, running
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service


def announce(state: Path, url: str, pid: int | None = None) -> None:
    state.mkdir(exist_ok=True)
    (state / "service.json").write_text(json.dumps({"url": url, "pid": pid or os.getpid()}))


def dead_pid() -> int:
    program = subprocess.Popen([sys.executable, "-c", ""])
    program.wait()
    return program.pid


def test_the_default_address(state: Path) -> None:
    assert connect().url == "http://127.0.0.1:8080"


def test_the_service_of_the_state_folder(state: Path) -> None:
    announce(state, "http://127.0.0.1:4711")
    assert connect().url == "http://127.0.0.1:4711"


def test_a_killed_service_left_its_file(state: Path) -> None:
    announce(state, "http://127.0.0.1:4711", dead_pid())
    assert running(state) is None
    assert connect().url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 1, "pid": "x"}', "\ufffd"])
def test_a_broken_file_is_no_service(state: Path, content: str) -> None:
    state.mkdir()
    (state / "service.json").write_text(content)
    assert running(state) is None


def test_the_environment_wins_over_the_state_folder(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(state, "http://127.0.0.1:4711")
    monkeypatch.setenv("MODEL_MANAGER_URL", "http://models.example")
    assert connect().url == "http://models.example"
    assert connect("http://127.0.0.1:1").url == "http://127.0.0.1:1"


def sent_token(run: Run, service: Service, *arguments: str) -> str | None:
    service.on("GET", "/jobs", {"jobs": []})
    assert run("jobs", *arguments).code == 0
    return service.asked[-1].headers.get("authorization")


def test_no_token(run: Run, service: Service) -> None:
    assert sent_token(run, service) is None


def test_the_token_of_the_state_folder(run: Run, service: Service, state: Path) -> None:
    state.mkdir()
    (state / "token").write_text("own-making\n")
    assert sent_token(run, service) == "Bearer own-making"


def test_the_token_of_the_environment(
    run: Run, service: Service, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.mkdir()
    (state / "token").write_text("own-making\n")
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", "given")
    assert sent_token(run, service) == "Bearer given"


def test_the_token_of_a_file(
    run: Run, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN_FILE", str(tmp_path / "secret"))
    assert sent_token(run, service) == "Bearer from-file"


def test_u7_the_state_folders_token_stays_on_this_machine(state: Path) -> None:
    state.mkdir()
    (state / "token").write_text("own-making\n")
    assert connect("http://127.0.0.1:1")._token == "own-making"
    assert connect("http://[::1]:1")._token == "own-making"
    assert connect("http://models.example")._token is None
    assert "own-making" not in repr(connect("http://127.0.0.1:1"))


def test_u7_redirects_are_not_followed(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", "given")
    elsewhere = Service()
    service.on("GET", "/jobs", Reply({}, 307, headers={"location": f"{elsewhere.url}/jobs"}))
    assert run("jobs").code == 1
    assert elsewhere.asked == []
    elsewhere.close()


def test_a_path_before_the_api(run: Run, service: Service) -> None:
    service.on("GET", "/behind/proxy/jobs", {"jobs": []})
    assert run("jobs", "--url", service.url + "/behind/proxy/").code == 0


def test_h7a_names_are_one_segment_of_the_path(run: Run, service: Service) -> None:
    run("models", "show", "../weights?x=/#y")
    assert service.paths() == ["GET /models/..%2Fweights%3Fx%3D%2F%23y"]
