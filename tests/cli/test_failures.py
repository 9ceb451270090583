"""Every failure is a sentence, a hint and an exit code; never a stack trace, never a secret."""

import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from model_manager.cli import exit_codes, main, output
from model_manager.cli.exit_codes import exit_code
from model_manager.client import ApiError, NotReachable
from model_manager.errors import Conflict, NotFound, SettingsError
from tests.cli.conftest import Run
from tests.cli.service import Reply, Service, problem
from tests.programs import running


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("x"), 1),
        (ApiError("x", http_status=409), 1),
        (ApiError("x", http_status=503), 1),
        (ApiError("x", http_status=400), 2),
        (NotReachable("x"), 3),
        (ApiError("x", http_status=401), 4),
        (ApiError("x", http_status=403), 4),
        (NotFound("x"), 5),
        (ApiError("x", http_status=404), 5),
        (SettingsError("x"), 78),
    ],
    ids=lambda value: str(value),
)
def test_exit_code_of_each_failure(error: Exception, code: int) -> None:
    assert exit_code(error) == code  # type: ignore[arg-type]


def test_every_exit_code_is_documented() -> None:
    for name in (
        "OK",
        "FAILED",
        "USAGE",
        "NOT_REACHABLE",
        "UNAUTHORIZED",
        "NOT_FOUND",
        "SETTINGS",
        "INTERRUPTED",
    ):
        assert f"| {getattr(exit_codes, name)} |" in str(exit_codes.__doc__)


def test_a_service_that_does_not_run(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound, but nobody listens
        code, out, err = run("status", "--url", url)
    assert code == 3
    assert err.startswith(
        f"error: Model Manager does not answer at {url}.\n  Start it with `model-manager serve`"
    )
    assert out == ""


def test_a_refusal_is_told_in_the_services_words(run: Run, service: Service) -> None:
    service.on(
        "DELETE", "/weights/demo", problem(409, "Weights demo are used by slot a.", "Deactivate it first.")
    )
    assert run("weights", "delete", "demo") == (
        1, "", "error: Weights demo are used by slot a.\n  Deactivate it first.\n",
    )  # fmt: skip


def test_a_wrong_token_says_where_tokens_are_put(run: Run, service: Service) -> None:
    service.on("GET", "/jobs", problem(401, "The token is not the right one."))
    code, _, err = run("jobs")
    assert code == 4
    assert "MODEL_MANAGER_API_TOKEN" in err


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"", b"[]", b'"x"', b"\xff\xfe"],
    ids=["html", "empty", "list", "str", "bytes"],
)
def test_an_error_that_is_not_a_problem_document(run: Run, service: Service, body: bytes) -> None:
    service.on("GET", "/jobs", Reply(body, 502, "text/html"))
    code, _, err = run("jobs")
    assert code == 1
    assert f"error: {service.url} answered with status 502.\n  Is this address Model Manager's?" in err


def test_something_else_listens_there(run: Run, service: Service) -> None:
    """D2's cousin: a login page with status 200 is not taken for an answer."""
    service.on("GET", "/jobs", Reply(b"<html>login</html>", 200, "text/html"))
    code, _, err = run("jobs")
    assert code == 1
    assert "is not Model Manager" in err


def test_a_connection_that_breaks_off(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.close()

        thread = Thread(target=hang_up, daemon=True)
        thread.start()
        code, _, err = run("jobs", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert code == 3
    assert "broke off" in err


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:99999", "http://[::1"])
def test_an_address_that_is_none(run: Run, url: str) -> None:
    code, _, err = run("jobs", "--url", url)
    assert code == 2
    assert "is not the address of a service" in err


def test_u6_a_password_in_an_address_is_refused_and_not_repeated(run: Run) -> None:
    code, out, err = run("jobs", "--url", "http://me:hunter2@127.0.0.1:1")
    assert code == 2
    assert "hunter2" not in out + err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("jbs",), "Did you mean 'jobs'?"),
        (("jobs", "shw"), "Did you mean 'show'?"),
        (("activate",), "Missing argument 'ID'"),
        (("jobs", "--limit", "0"), "greater than or equal to 1"),
        (("models", "--colour"), "No such option: --colour"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err


def test_no_arguments_shows_the_commands(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "Commands:" in out + err


def test_a_misspelt_variable_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_MANAGER_API_TOKN", "x")
    code, _, err = run("jobs")
    assert code == 78
    assert "Did you mean MODEL_MANAGER_API_TOKEN?" in err


UNEXPECTED = Reply(b'{"unexpected": true}')


def test_an_answer_of_another_version(run: Run, service: Service) -> None:
    service.on("GET", "/jobs", UNEXPECTED)
    code, out, err = run("jobs")
    assert (code, out) == (1, "")
    assert err.startswith(
        f"error: The answer of {service.url} is not understood: Object missing required field"
    )
    assert "of another version" in err
    assert run("jobs", "-o", "json") == (0, '{"unexpected": true}\n', "")


@pytest.fixture
def fault(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in our own code."""
    service.on("GET", "/jobs", {"jobs": []})
    monkeypatch.setattr(output, "table", lambda *_: {}["no such key"])


@pytest.mark.usefixtures("fault")
def test_a_fault_nobody_foresaw(run: Run) -> None:
    code, _, err = run("jobs")
    assert code == 1
    assert err.startswith("error: something unexpected happened (KeyError")
    assert "--debug" in err


@pytest.mark.usefixtures("fault")
def test_debug_shows_where_it_came_from() -> None:
    with pytest.raises(KeyError):
        main(["jobs", "--debug"])


def nothing_is_there(service: Service) -> None:
    service.on("GET", "/slots", {"slots": []})
    service.on("GET", "/weights", {"weights": []})


def test_x1_nothing_from_outside_commands_the_terminal(run: Run, service: Service) -> None:
    nothing_is_there(service)
    service.on("GET", "/models", [{"id": "a", "displayName": "evil\x1b[2J\x07\u202ename"}])
    assert run("models").out.splitlines()[1].split()[:2] == ["a", "evil[2Jname"]
    service.on("GET", "/models", problem(409, "No \x1b]0;owned\x07."))
    assert run("models").err == "error: No ]0;owned.\n"


def test_clean_keeps_what_people_write() -> None:
    assert output.clean("Grüße, 世界 👍\n\ttab") == "Grüße, 世界 👍\n\ttab"


def test_a_reader_that_has_seen_enough(service: Service) -> None:
    """`model-manager … | head -1` ends quietly."""
    nothing_is_there(service)
    service.on("GET", "/models", [{"id": f"m{i}", "displayName": "x" * 200} for i in range(5000)])
    command = [sys.executable, "-m", "model_manager", "models", "--url", service.url]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout and program.stderr
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(10) == 1


def test_the_token_is_in_no_error(run: Run, service: Service, state: Path) -> None:
    state.mkdir()
    (state / "token").write_text("s3cret-token\n")
    service.on("GET", "/jobs", UNEXPECTED)
    for arguments in (("jobs",), ("jobs", "show", "nope"), ("status",)):
        outcome = run(*arguments)
        assert outcome.code != 0
        assert "s3cret" not in outcome.out + outcome.err
