"""The quickstart: its steps against a service, and what it does before it starts one."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from model_manager.cli.quickstart import _with_free_port
from model_manager.cli.walk import Walk
from model_manager.client import Client
from model_manager.errors import ActivationFailed, NotFound, Unavailable
from model_manager.settings import load
from model_manager.state.lock import FolderLock
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service, chunk, sse

READ = {"catalog": {"revision": "1a2b3c4d5e6f7a8b9c0d", "count": 12}}
ACTIVE = {"id": "a1", "slot": "active-llm", "modelId": "demo", "phase": "active", "result": "active"}
SLOT = {"name": "active-llm", "state": "active", "desired": ACTIVE}


def walk(service: Service) -> None:
    Walk(Client(service.url), lambda _: None).all()


def from_nothing(service: Service) -> None:
    """Answers of a service on which nothing was done yet."""
    service.on("GET", "/system/info", {"catalog": {"revision": "", "count": 0}}, READ)
    service.on("GET", "/slots", {"slots": [{"name": "active-llm", "state": "empty", "desired": None}]})
    service.on("GET", "/models", [{"id": "demo"}])
    service.on("POST", "/weights/install", Reply({"job": {"id": "j1", "status": "pending"}}, 202))
    service.on("GET", "/jobs/j1", {"id": "j1", "status": "completed", "result": {"sizeBytes": 808_000}})
    service.on("POST", "/models/activate", Reply({"activation": ACTIVE | {"result": None}}, 202))
    service.on("GET", "/activations/a1", ACTIVE)
    service.on("GET", "/slots/active-llm", SLOT)
    service.on("POST", "/v1/chat/completions", sse(chunk("Yes, "), chunk("it works.")))


def test_from_nothing_to_a_chat(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    from_nothing(service)
    walk(service)
    lines = capsys.readouterr().out.splitlines()
    assert [line[10:] for line in lines if line[:6].strip().replace(".", "").isdigit()] == [
        "Catalog read at commit 1a2b3c4d5e6f: 12 models",
        "Weights of demo installed, every file hashed: 808.0 kB",
        "demo is active in slot active-llm",
        "demo was asked: Does this work?",
    ]
    assert "  Yes, it works." in lines


def test_the_second_time_it_only_chats(service: Service) -> None:
    """What the user has activated since is kept, whatever it is."""
    service.on("GET", "/system/info", READ)
    service.on("GET", "/slots", {"slots": [SLOT | {"desired": ACTIVE | {"modelId": "mine"}}]})
    service.on("GET", "/activations/a1", ACTIVE | {"modelId": "mine"})
    service.on("GET", "/slots/active-llm", SLOT)
    service.on("POST", "/v1/chat/completions", sse(chunk("Hello.")))
    walk(service)
    assert [path for path in service.paths() if path.startswith("POST")] == ["POST /v1/chat/completions"]
    assert service.asked[-1].payload["model"] == "mine"


def test_a_catalog_without_the_demo_model(service: Service) -> None:
    from_nothing(service)
    service.on("GET", "/models", [{"id": "mine"}])
    with pytest.raises(NotFound, match="no model 'demo'"):
        walk(service)


def test_a_failed_activation_ends_the_walk(service: Service) -> None:
    from_nothing(service)
    service.on(
        "GET", "/activations/a1", ACTIVE | {"phase": "failed", "result": "failed", "reason": "Too big."}
    )
    with pytest.raises(ActivationFailed, match="Too big"):
        walk(service)


def test_an_empty_answer_is_no_answer(service: Service) -> None:
    from_nothing(service)
    service.on("POST", "/v1/chat/completions", sse(chunk(" ")))
    with pytest.raises(Unavailable, match="answered nothing"):
        walk(service)


def test_a_second_one_on_the_same_folder_names_the_first(run: Run, state: Path) -> None:
    state.mkdir()
    (state / "service.json").write_text(json.dumps({"url": "http://127.0.0.1:4711", "pid": os.getpid()}))
    lock = FolderLock.take(state)
    code, _, err = run("quickstart")
    lock.release()
    assert code == 1
    assert f"Model Manager already runs on {state}: http://127.0.0.1:4711 (process {os.getpid()})." in err


def test_it_is_for_one_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_PLATFORM", "kserve")
    code, _, err = run("quickstart")
    assert code == 78
    assert "Use `model-manager serve` on a cluster" in err


def port_after(settings: Any) -> int:
    port: int = _with_free_port(settings).server_port
    return port


def test_a_taken_default_port_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        settings = load()
        settings = type(settings)({**settings.values, "server_port": number}, settings.origins)
        assert port_after(settings) == 0
    assert f"Port {number} is taken" in capsys.readouterr().out
    assert port_after(settings) == number


def test_a_port_that_was_asked_for_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert port_after(load({"server_port": str(number)})) == number
