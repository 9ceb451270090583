"""The help: complete, with an example everywhere, and there without importing the service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from model_manager.cli.program import COMMANDS as SUMMARIES
from model_manager.cli.program import build
from model_manager.settings import CLIENT, SETTINGS
from tests.cli.conftest import Run

PROMISED = (
    "serve", "quickstart", "status", "why", "version", "activate", "deactivate", "logs", "chat", "run", "history",
    "events", "metrics", "health", "settings", "support-bundle", "forecast", "completion", "doctor",
    "models list", "models show", "models manifest", "models test",
    "catalog status", "catalog problems", "catalog refresh",
    "catalog check", "catalog fmt", "catalog preview", "catalog validate",
    "slots list", "slots show", "slots set", "slots adopt", "slots clear", "slots logs",
    "slots activations", "token list", "token create", "token revoke", "token current",
    "context list", "context show", "context add", "context use", "context remove",
    "weights list", "weights usage", "weights info", "weights install", "weights delete",
    "jobs list", "jobs show", "jobs cancel", "jobs retry", "jobs wait", "jobs log",
    "activations list", "activations show", "activations cancel", "state backup", "state check", "state import",
)  # fmt: skip


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield path + name, command


COMMANDS = dict(commands(build()))


def test_the_commands_are_the_promised_ones() -> None:
    assert sorted(COMMANDS) == sorted(PROMISED)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_names_it(run: Run, name: str) -> None:
    code, out, _ = run(*name.split(), "--help")
    assert code == 0
    example = out.split("Example:")[1].split("Options:")[0].split("Arguments:")[0]
    assert "model-manager " + name.replace(" list", "").replace(" status", "") in " ".join(example.split())


@pytest.mark.parametrize("command", ["serve", "quickstart"])
def test_every_setting_is_a_flag(run: Run, command: str) -> None:
    out = run(command, "--help").out
    for row in SETTINGS:
        assert (f"{row.flag} " in out) == (row.group != CLIENT)
        assert row.group == CLIENT or row.env in out.replace("\n", "")


def test_a_flag_reaches_its_setting(run: Run) -> None:
    code, _, err = run("serve", "--server-port", "nine")
    assert code == 78
    assert err.startswith("error: Setting server_port (from --server-port): 'nine' is not a port")


def test_a_settings_file(run: Run, tmp_path: Any) -> None:
    (tmp_path / "settings.yaml").write_text("server_prot: 1\n")
    code, _, err = run("serve", "--config", str(tmp_path / "settings.yaml"))
    assert code == 78
    assert "Did you mean server_port?" in err


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_summaries_in_the_table_are_the_commands_own(name: str) -> None:
    command = build().commands[name]
    assert command.name == name
    assert SUMMARIES[name][1] == (command.help or "").splitlines()[0]


@pytest.mark.parametrize("words", ["--help", "jobs list --help"])
def test_help_imports_nothing_that_it_can_do_without(words: str) -> None:
    """It has to be there at once."""
    program = (
        f"import sys; from model_manager.cli import main; main({words.split()!r}); "
        "print([m for m in ('rich', 'pydantic', 'starlette', 'msgspec', 'asyncio', 'http.client', 'model_manager.app') "
        "if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "Usage: model-manager" in done.stdout


def test_version(run: Run) -> None:
    assert run("version").out.startswith("model-manager 0.")
    assert json.loads(run("version", "-o", "json").out)["version"].startswith("0.")
