"""The exit codes that scripts may rely on: each is documented, and each is seen."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.cli import exit_codes
from model_manager.cli.program import EPILOG
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service, problem
from tests.programs import running
from tests.waiting import until_sync

CODES = {name: value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}


def done(run: Run, service: Service) -> int:
    service.on("GET", "/jobs", {"jobs": []})
    return run("jobs").code


def failed(run: Run, service: Service) -> int:
    service.on("DELETE", "/weights/a", problem(409, "They are in use."))
    return run("weights", "delete", "a").code


def used_wrongly(run: Run, service: Service) -> int:
    return run("jobs", "--limt", "3").code


def no_answer(run: Run, service: Service) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, but nobody listens
        return run("jobs", "--url", f"http://127.0.0.1:{free.getsockname()[1]}").code


def no_token(run: Run, service: Service) -> int:
    service.on("GET", "/tokens", problem(401, "This needs a token."))
    return run("token").code


def no_such_thing(run: Run, service: Service) -> int:
    service.on("GET", "/jobs/a", problem(404, "There is no job 'a'."))
    return run("jobs", "show", "a").code


def wrong_settings(run: Run, service: Service) -> int:
    return run("serve", "--server-port", "nine").code


def time_is_over(run: Run, service: Service) -> int:
    service.on("GET", "/jobs/a", {"id": "a", "type": "weight_install", "key": "a", "status": "running"})
    return run("jobs", "wait", "a", "--timeout", "0.1").code


def interrupted(run: Run, service: Service) -> int:
    service.on("GET", "/jobs/a", {"id": "a", "type": "weight_install", "key": "a", "status": "running"})
    command = [sys.executable, "-m", "model_manager", "jobs", "wait", "a", "--url", service.url]
    with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        until_sync(lambda: service.asked)
        program.send_signal(signal.SIGINT)
        return program.wait(10)


SEEN: dict[str, Callable[[Run, Service], int]] = {
    "OK": done,
    "FAILED": failed,
    "USAGE": used_wrongly,
    "NOT_REACHABLE": no_answer,
    "UNAUTHORIZED": no_token,
    "NOT_FOUND": no_such_thing,
    "SETTINGS": wrong_settings,
    "TIMED_OUT": time_is_over,
    "INTERRUPTED": interrupted,
}


@pytest.mark.parametrize("name", CODES)
def test_each_is_seen(run: Run, service: Service, name: str) -> None:
    assert SEEN[name](run, service) == CODES[name]


@pytest.mark.parametrize(
    ("where", "pattern"),
    [
        (str(exit_codes.__doc__), r"^\| (\d+) \|"),
        (Path("docs/cli.md").read_text(), r"^\| (\d+) \|"),
        (EPILOG, r"(\d+) \S"),
    ],
    ids=["exit_codes.py", "docs/cli.md", "--help"],
)
def test_each_is_documented(where: str, pattern: str) -> None:
    assert sorted(map(int, re.findall(pattern, where, re.MULTILINE))) == sorted(CODES.values())


def test_what_goes_on_after_the_timeout_is_said(run: Run, service: Service) -> None:
    waiting = {"id": "a1", "slot": "s", "modelId": "m", "phase": "starting", "result": None}
    service.on("POST", "/models/activate", Reply({"activation": waiting}, 202))
    service.on("GET", "/activations/a1", waiting)
    code, out, err = run("activate", "m", "--timeout", "0.05s")
    assert (code, out) == (124, "")
    assert err.splitlines()[-2:] == [
        "error: Activation a1 is not done after 0.1 s.",
        "  The service goes on with it: `model-manager activations show a1`.",
    ]


@pytest.mark.parametrize("time", ["soon", "5x", "1h30", "-3s", "nan", "inf"])
def test_a_time_that_is_none(run: Run, time: str) -> None:
    code, _, err = run("jobs", "wait", "a", f"--timeout={time}")
    assert code == 2
    assert "is not a time" in err


def test_ctrl_c_while_it_is_being_imported_is_no_stack_trace() -> None:
    program = (
        "import sys\n"
        "class Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'model_manager.settings': raise KeyboardInterrupt\n"
        "from model_manager.cli import main\n"
        "sys.meta_path.insert(0, Late())\n"
        "sys.exit(main(['status']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (130, "")


def test_a_value_that_the_service_does_not_take_is_wrong_use(run: Run, service: Service) -> None:
    service.on("GET", "/models", problem(422, "`task` is wrong.", "One of: chat, embed.", field="task"))
    code, _, err = run("models", "--task", "chta")
    assert code == 2
    assert "One of: chat, embed." in err
