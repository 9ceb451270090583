"""Tab, in real shells: commands, options and ids; quick, and silent when nobody answers."""

import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from model_manager.cli import main
from model_manager.cli.completion import VARIABLE
from tests.cli.conftest import Run
from tests.cli.service import Asked, Reply, Service

BASH = """
source <(model-manager completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_model_manager_completion model-manager
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { : }
_arguments() { print -r -- "$@" | grep -o '"[^"]*"' | grep -v '^":' | sed 's/"//g' | sed 's/:.*//' }
_files() { : }
source <(model-manager completion zsh)
words=("$@"); CURRENT=$#
_model_manager_completion
"""
FISH = """
model-manager completion fish | source
complete -C "$argv" | string split -f 1 \\t
"""
SHELLS = [
    pytest.param(
        name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"there is no {name} here")
    )
    for name in ("bash", "zsh", "fish")
]


def completed(shell: str, line: str, **environ: str) -> list[str]:
    """What Tab offers at the end of a line. The shell reads no files of its user's."""
    scripts = Path(sysconfig.get_path("scripts"))
    env = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", **environ}
    words = line.split(" ")
    command = {
        "bash": ["bash", "--norc", "-c", BASH, "bash", *words],
        "zsh": ["zsh", "-f", "-c", ZSH, "zsh", *words],
        "fish": ["fish", "--no-config", "-c", FISH, line],
    }[shell]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30)
    assert done.stderr == ""
    return [word for word in done.stdout.split() if word.startswith(words[-1])]


@pytest.fixture
def known(service: Service) -> Service:
    service.on("GET", "/models", [{"id": "demo", "aliases": ["default"]}, {"id": "other"}])
    service.on("GET", "/slots", {"slots": [{"name": "active-llm"}]})
    service.on("GET", "/jobs", {"jobs": [{"id": "j1"}]})
    service.on("GET", "/activations", {"activations": [{"id": "a1"}]})
    service.on("GET", "/weights", {"weights": [{"name": "demo"}]})
    service.on("GET", "/tokens", {"tokens": [{"name": "ci"}]})
    return service


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_shell_could_take_for_code_is_not_offered(shell: str, service: Service) -> None:
    names = ("de\\$(touch ran)", "de`id`", "de;id", "de'\"", "de\x1b]0;x\x07", "de*", "de\n-x")
    service.on("GET", "/models", [{"id": "demo", "aliases": ["de/mo", *names]}])
    assert sorted(completed(shell, "model-manager activate de")) == ["de/mo", "demo"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_options_and_ids(shell: str, known: Service) -> None:
    assert completed(shell, "model-manager act") == ["activate", "activations"]
    assert {"list", "show", "cancel"} <= set(completed(shell, "model-manager jobs "))
    assert completed(shell, "model-manager jobs list --wa") == ["--watch"]
    assert set(completed(shell, "model-manager activate de")) == {"demo", "default"}


Tab = Callable[[str], list[str]]


@pytest.fixture
def tab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tab:
    """What the program tells bash at the end of a line; it must do so in silence."""

    def press(line: str) -> list[str]:
        monkeypatch.setenv(VARIABLE, "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(line.split(" ")))
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        with pytest.raises(SystemExit):
            main([])
        monkeypatch.delenv(VARIABLE)
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    return press


IDS = {
    "activate ": ["demo", "default", "other"],
    "slots set active-llm o": ["other"],
    "slots show ": ["active-llm"],
    "logs ": ["active-llm"],
    "jobs show ": ["j1"],
    "activations cancel ": ["a1"],
    "weights delete ": ["demo"],
    "token revoke ": ["ci"],
    "context use ": ["local", "prod"],
    "jobs --context p": ["prod"],
    "jobs -o ": ["text", "json", "yaml", "name"],
}


@pytest.mark.parametrize("line", IDS)
def test_ids_of_each_kind(run: Run, known: Service, tab: Tab, line: str) -> None:
    assert run("context", "add", "prod", "--url", "https://prod.example").code == 0
    assert tab(f"model-manager {line}") == IDS[line]


def test_the_service_that_the_line_names_is_asked(run: Run, known: Service, tab: Tab) -> None:
    other = Service()
    other.on("GET", "/jobs", {"jobs": [{"id": "elsewhere"}]})
    assert run("context", "add", "other", "--url", other.url).code == 0
    assert tab("model-manager jobs show -c other ") == ["elsewhere"]
    assert tab(f"model-manager jobs show --url {other.url} ") == ["elsewhere"]
    assert known.asked == []
    other.close()


def test_nobody_answers(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("http://127.0.0.1:1", "http://no-such-host.invalid", "no address"):
        monkeypatch.setenv("MODEL_MANAGER_URL", url)
        assert tab("model-manager jobs show ") == []


def test_a_refusal_and_wrong_settings_are_silent(
    service: Service, tab: Tab, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tab("model-manager jobs show ") == []
    config.mkdir(parents=True)
    (config / "contexts.json").write_text("broken")
    assert tab("model-manager context use ") == []
    monkeypatch.setenv("MODEL_MANAGER_URRL", "x")
    assert tab("model-manager jobs show ") == []


def test_a_slow_service_is_not_waited_for(
    service: Service, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second, says `python -m bench cli`; here only that the line goes on before the service has answered."""
    ended = Event()

    def slow(_: Asked) -> Reply:
        ended.wait(30)
        return Reply({"jobs": [{"id": "late"}]})

    service.on("GET", "/jobs", slow)
    monkeypatch.setattr("model_manager.cli.completing.PATIENCE", 0.1)
    begun = time.monotonic()
    assert tab("model-manager jobs show ") == []
    assert time.monotonic() - begun < 20
    ended.set()


def test_an_unknown_shell(run: Run) -> None:
    code, _, err = run("completion", "tcsh")
    assert code == 2
    assert "'bash', 'zsh', 'fish'" in err
