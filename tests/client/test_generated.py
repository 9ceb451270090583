"""The generated part is what the API's description says now."""

import inspect
import subprocess
import sys

import pytest
from tools import client_code

from model_manager.client import AsyncClient, Client, calls


def test_the_files_are_as_they_would_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["client_code", "--check"])
    assert client_code.main() == 0, "run `python -m tools.client_code`"


def test_both_clients_have_every_operation_with_the_same_arguments() -> None:
    names = [
        name
        for name, value in vars(calls).items()
        if inspect.isfunction(value) and value.__module__ == calls.__name__
    ]
    assert len(names) > 25
    for name in names:
        wanted = list(inspect.signature(getattr(calls, name)).parameters.values())
        for client in (Client, AsyncClient):
            _, *given = inspect.signature(getattr(client, name)).parameters.values()
            assert given == wanted, name
    assert inspect.iscoroutinefunction(AsyncClient.list_models)
    assert not inspect.iscoroutinefunction(Client.list_models)


def test_one_client_is_not_waited_for_by_who_uses_the_other() -> None:
    program = (
        "import sys; from model_manager.client import Client, calls; calls.healthz(); "
        "print('asyncio' in sys.modules, 'httptools' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "False False\n"
