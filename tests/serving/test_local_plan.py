"""From a manifest to a command of this machine, and the few lines that start it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_manager.errors import ModelManagerError
from model_manager.serving.local import launcher, plan
from model_manager.serving.local_policy import LocalPolicy
from tests.serving import ground

LAUNCHER = launcher.__file__
PATH = {"PATH": os.environ.get("PATH", os.defpath)}


def planned(root: Path, manifest: dict[str, Any] | None = None, **runtimes: Any) -> plan.Plan:
    known = {**ground.RUNTIMES, **runtimes}
    return plan.make(manifest or ground.manifest(), known, root.joinpath, LocalPolicy())


def test_the_claims_name_is_ignored_and_the_sub_path_kept(tmp_path: Path) -> None:
    assert planned(tmp_path).model_folder == str(tmp_path / "scripted-model")


def test_the_weights_annotation_wins_over_the_storage_uri(tmp_path: Path) -> None:
    manifest = ground.manifest()
    manifest["metadata"]["annotations"] = {"model-manager/weights-folder": "org/elsewhere"}
    assert planned(tmp_path, manifest).model_folder == str(tmp_path / "org/elsewhere")


@pytest.mark.parametrize("uri", ["hf://org/model", "s3://bucket/model", "", None])
def test_weights_that_are_not_on_this_machine_are_refused(tmp_path: Path, uri: str | None) -> None:
    manifest = ground.manifest()
    manifest["spec"]["predictor"]["model"]["storageUri"] = uri
    with pytest.raises(ModelManagerError, match="cannot mount"):
        planned(tmp_path, manifest)


def test_missing_weights_and_commands_are_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ModelManagerError, match="not installed"):
        plan.check_weights(planned(tmp_path))
    (tmp_path / "scripted-model").mkdir()
    plan.check_weights(planned(tmp_path))
    plan.check_program(planned(tmp_path), PATH)
    absent = ground.runtime("well", command=["no-such-server"])
    with pytest.raises(ModelManagerError, match="needs 'no-such-server'"):
        plan.check_program(planned(tmp_path, well=absent), PATH)


def test_the_command_gets_its_own_port_key_and_mount(tmp_path: Path) -> None:
    runtime = ground.runtime("well")
    runtime["spec"]["containers"][0]["args"].append("--model=/mnt/models")
    command = planned(tmp_path, well=runtime).command(4711, "the-key", {**PATH, "SECRET": "no"})
    assert "--port=4711" in command.argv
    assert "--host=127.0.0.1" in command.argv
    assert f"--model={tmp_path / 'scripted-model'}" in command.argv
    assert command.environment["ENGINE_API_KEY"] == "the-key"
    assert "SECRET" not in command.environment
    assert "the-key" not in command.argv


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["python3", "-m", "model_manager.engines.llama_cpp"], sys.executable),
        (["python3", "-m", "vllm.entrypoints.openai.api_server"], "python3"),
        (["python3"], "python3"),
    ],
)
def test_our_own_modules_run_with_our_own_python(tmp_path: Path, command: list[str], program: str) -> None:
    runtime = ground.runtime("well", command=command)
    assert planned(tmp_path, well=runtime).command(1, "", PATH).argv[0] == program


def launch(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-S", LAUNCHER, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def test_the_launcher_becomes_the_command() -> None:
    script = (
        "import os, ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)"
    )
    done = launch(str(os.getpid()), sys.executable, "-S", "-c", script)
    assert (done.stdout, done.returncode) == ("9\n", 0)  # its parent-death signal is SIGKILL


def test_p1_the_launcher_starts_nothing_when_its_parent_has_gone() -> None:
    assert launch("1", "/bin/echo", "started").stdout == ""
    assert launch("1", "/bin/echo", "started").returncode == 125


@pytest.mark.parametrize(("program", "code"), [("/no/such/program", 127), ("/etc/passwd", 126)])
def test_the_launcher_says_why_it_cannot_run_a_command(program: str, code: int) -> None:
    done = launch(str(os.getpid()), program)
    assert done.returncode == code
    assert done.stderr.startswith(f"error: cannot run {program}: ")
