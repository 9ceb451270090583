"""`serve` is read twice: plainly without typer, and by typer. Both must understand the same."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from model_manager import __version__, app
from model_manager.cli import direct, program
from model_manager.settings import SETTINGS, Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every service that was to be started."""
    started: list[Settings] = []

    def serve(settings: Settings) -> int:
        started.append(settings)
        return 0

    monkeypatch.setattr(app, "serve", serve)
    return started


@pytest.mark.parametrize(
    "line",
    [
        "serve",
        "serve --server-port 0",
        "serve --server-port=8081 --host 127.0.0.1",
        "serve --catalog-url=https://example.com/a.git?x=y",
        "serve --active-slot=",
        "serve --config FILE --drain-timeout 3s",
    ],
)
def test_plain_flags_mean_what_typer_takes_them_for(
    line: str, served: list[Settings], tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("activation_timeout: 7s\n")
    words = line.replace("FILE", str(file)).split()
    flags = direct.serve_flags(words)
    assert flags is not None
    assert direct.serve(flags) == 0
    assert program.run(words) == 0
    ours, typers = served
    assert {row.name: getattr(ours, row.name) for row in SETTINGS} == {
        row.name: getattr(typers, row.name) for row in SETTINGS
    }


@pytest.mark.parametrize(
    "line",
    [
        "",
        "status",
        "serve --help",
        "serve --debug",
        "serve now",
        "serve --sever-port 1",
        "serve --server-port",
        "serve --server-port --host x",
        "serve --host a --host b",
        "--debug serve",
    ],
)
def test_anything_else_is_left_to_typer(line: str) -> None:
    assert direct.serve_flags(line.split()) is None


def test_a_service_starts_without_what_is_slow_to_import() -> None:
    code = "import sys, model_manager.cli, model_manager.app; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30).split()
    assert {"typer", "yaml", "pydantic", "importlib.metadata", "huggingface_hub"}.isdisjoint(loaded)


def test_the_version_is_the_installed_one() -> None:
    assert __version__ == version("model-manager")
