"""Where the service is looked for, and who gets to see the token."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.cli.address import find, running
from model_manager.state.lock import FolderLock, held_by
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service


def announce(state: Path, url: str, pid: int | None = None) -> None:
    state.mkdir(exist_ok=True)
    (state / "service.json").write_text(json.dumps({"url": url, "pid": pid or os.getpid()}))


@pytest.fixture
def held(state: Path) -> Iterator[Path]:
    """A state folder in use by this process, as by a running service."""
    state.mkdir()
    lock = FolderLock.take(state)
    yield state
    lock.release()


def test_the_default_address(state: Path) -> None:
    assert find().url == "http://127.0.0.1:8080"


def test_the_service_of_the_state_folder(held: Path) -> None:
    announce(held, "http://127.0.0.1:4711")
    (held / "token").write_text("own-making\n")
    assert find().url == "http://127.0.0.1:4711"
    assert find().token == "own-making"


def test_p3_a_killed_service_left_its_file_and_its_number_to_another(state: Path) -> None:
    announce(state, "http://127.0.0.1:4711")  # the number of a process that lives, but has not the folder
    assert running(state) is None
    assert find().url == "http://127.0.0.1:8080"


def test_a_service_that_starts_has_not_said_yet_where_it_is(held: Path) -> None:
    announce(held, "http://127.0.0.1:4711", os.getpid() + 1)  # left by the one before
    assert running(held) is None


def test_u6_whoever_listens_on_the_default_port_is_not_shown_the_token(state: Path) -> None:
    state.mkdir()
    (state / "token").write_text("own-making\n")
    assert find().url == "http://127.0.0.1:8080"
    assert find().token is None


def test_asking_who_has_the_folder_keeps_no_service_from_starting(state: Path) -> None:
    state.mkdir()
    FolderLock.take(state).release()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            held_by(state)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(50):
            FolderLock.take(state).release()
    finally:
        stop.set()
        asking.join()
    assert held_by(state) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 1, "pid": "x"}', "\ufffd"])
def test_a_broken_file_is_no_service(state: Path, content: str) -> None:
    state.mkdir()
    (state / "service.json").write_text(content)
    assert running(state) is None


def test_the_environment_wins_over_the_state_folder(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(held, "http://127.0.0.1:4711")
    monkeypatch.setenv("MODEL_MANAGER_URL", "http://models.example")
    assert find().url == "http://models.example"
    assert find("http://127.0.0.1:1").url == "http://127.0.0.1:1"


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
    assert find("http://127.0.0.1:1").token == "own-making"
    assert find("http://[::1]:1").token == "own-making"
    assert find("http://models.example").token is None
    assert "own-making" not in repr(find("http://127.0.0.1:1"))


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
