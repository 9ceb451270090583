"""An environment of one's own for each test, the command line as a function, and a service to talk to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from model_manager.cli import main, output
from model_manager.settings import SETTINGS
from tests.cli.service import Service


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder, and none of the settings and contexts of whoever runs the tests."""
    for row in SETTINGS:
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for field, usual in vars(output.Look()).items():  # else --quiet and --color would hold for the next test
        monkeypatch.setattr(output.look, field, usual)
    monkeypatch.setenv("STATE_PATH", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "state"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where contexts are kept in these tests."""
    return tmp_path / "config" / "model-manager"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `model-manager` with these arguments, in this process."""

    def go(*arguments: str) -> Outcome:
        code = main(arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Outcome(code, said.out, said.err)

    return go


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service, found by every command through MODEL_MANAGER_URL."""
    service = Service()
    monkeypatch.setenv("MODEL_MANAGER_URL", service.url)
    yield service
    service.close()
