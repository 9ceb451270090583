"""Several services by name: which one is meant, and which token goes there."""

import io
import json
import stat
from pathlib import Path

import pytest

from model_manager.cli.address import find
from model_manager.errors import InvalidRequest, NotFound, SettingsError, Unauthorized
from tests.cli.conftest import Run
from tests.cli.service import Service, problem

PROD, TEST, ELSEWHERE = "https://prod.example", "https://test.example", "http://elsewhere.example"


@pytest.fixture
def contexts(run: Run, tmp_path: Path) -> None:
    for name, url in (("prod", PROD), ("test", TEST)):
        (tmp_path / name).write_text(f"{name}-token\n")
        (tmp_path / name).chmod(0o600)
        assert run("context", "add", name, "--url", url, "--token-file", str(tmp_path / name)).code == 0


def given(run: Run, monkeypatch: pytest.MonkeyPatch, *, env: dict[str, str], use: str | None) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    if use:
        assert run("context", "use", use).code == 0


URL, CONTEXT = "MODEL_MANAGER_URL", "MODEL_MANAGER_CONTEXT"


@pytest.mark.parametrize(
    ("flags", "env", "use", "url"),
    [
        ({}, {}, None, "http://127.0.0.1:8080"),
        ({}, {}, "prod", PROD),
        ({}, {CONTEXT: "test"}, "prod", TEST),
        ({}, {URL: ELSEWHERE, CONTEXT: "test"}, "prod", ELSEWHERE),
        ({"context": "prod"}, {URL: ELSEWHERE, CONTEXT: "test"}, "test", PROD),
        ({"url": "http://flag.example"}, {URL: ELSEWHERE, CONTEXT: "test"}, "prod", "http://flag.example"),
        ({"context": "local"}, {URL: ELSEWHERE, CONTEXT: "test"}, "prod", "http://127.0.0.1:8080"),
        ({}, {CONTEXT: "local"}, "prod", "http://127.0.0.1:8080"),
    ],
    ids=["nothing", "in use", "env context", "env url", "-c", "--url", "-c local", "env local"],
)
def test_which_service_is_meant(
    run: Run, contexts: None, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str], env: dict[str, str],
    use: str | None, url: str,
) -> None:  # fmt: skip
    given(run, monkeypatch, env=env, use=use)
    assert find(**flags).url == url


@pytest.mark.parametrize(
    ("flags", "token"),
    [
        ({"context": "prod"}, "prod-token"),
        ({"context": "test"}, "test-token"),
        ({}, "prod-token"),
        ({"url": PROD}, None),
        ({"url": ELSEWHERE}, None),
        ({"url": "http://127.0.0.1:1"}, None),
        ({"context": "local"}, None),
    ],
    ids=["prod", "test", "in use", "the same url", "elsewhere", "loopback", "local"],
)
def test_u7_a_contexts_token_goes_to_its_address_only(
    run: Run, contexts: None, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str], token: str | None
) -> None:
    given(run, monkeypatch, env={}, use="prod")
    assert find(**flags).token == token


def test_the_environments_token_is_for_contexts_without_one(
    run: Run, contexts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", "of-the-environment")
    assert run("context", "add", "bare", "--url", ELSEWHERE).code == 0
    assert find(context="bare").token == "of-the-environment"
    assert find(context="prod").token == "prod-token"


def test_u7_the_state_folders_token_is_for_contexts_on_this_machine(run: Run, state: Path) -> None:
    state.mkdir()
    (state / "token").write_text("own-making\n")
    assert run("context", "add", "here", "--url", "http://127.0.0.1:1").code == 0
    assert run("context", "add", "there", "--url", ELSEWHERE).code == 0
    assert find(context="here").token == "own-making"
    assert find(context="there").token is None


def test_two_services_are_not_one(contexts: None) -> None:
    with pytest.raises(InvalidRequest, match="each name a service"):
        find(url=PROD, context="prod")
    with pytest.raises(NotFound, match="no context 'nix'"):
        find(context="nix")


def test_a_token_from_standard_input_is_kept_for_oneself(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    outcome = run("context", "add", "prod", "--url", PROD, "--token-stdin")
    assert outcome.code == 0
    assert "s3cret" not in outcome.out + outcome.err
    kept = config / "tokens" / "prod"
    assert kept.read_text() == "s3cret\n"
    assert "s3cret" not in (config / "contexts.json").read_text()
    for file in (kept, config / "contexts.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert "s3cret" not in run("context", "show", "prod", "-o", "json").out
    assert find(context="prod").token == "s3cret"
    assert run("context", "remove", "prod").code == 0
    assert not kept.exists()


def test_removing_a_context_leaves_a_file_that_is_the_users(run: Run, contexts: None, tmp_path: Path) -> None:
    given_file = tmp_path / "prod"
    assert run("context", "use", "prod").code == 0
    assert run("context", "remove", "prod").code == 0
    assert given_file.exists()
    assert "*       local" in run("context").out


def test_listing(run: Run, contexts: None) -> None:
    assert run("context", "use", "test").code == 0
    assert run("context", "-o", "name").out.split() == ["local", "prod", "test"]
    listed = json.loads(run("context", "-o", "json").out)["contexts"]
    assert [one["name"] for one in listed if one["inUse"]] == ["test"]
    assert run("context", "show").out.splitlines()[:2] == ["name        test", f"url         {TEST}"]
    assert run("context", "show", "local").out.splitlines()[1].endswith("the service of this machine")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "prod", "--url", ELSEWHERE), 1, "There is a context 'prod' already."),
        (("add", "local", "--url", ELSEWHERE), 1, "the service of this machine"),
        (("add", "Pr/od", "--url", ELSEWHERE), 2, "cannot be the name of a context"),
        (("add", "x", "--url", "ftp://x"), 2, "is not the address of a service"),
        (("add", "x", "--url", "http://me:pw@x"), 2, "must not hold a user name"),
        (("add", "x", "--url", ELSEWHERE, "--token-file", "f", "--token-stdin"), 2, "each give a token"),
        (("use", "nix"), 5, "no context 'nix'"),
        (("remove", "nix"), 5, "no context 'nix'"),
        (("show", "nix"), 5, "no context 'nix'"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_is_refused(
    run: Run, contexts: None, config: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = (config / "contexts.json").read_bytes()
    outcome = run("context", *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert (config / "contexts.json").read_bytes() == before


def test_no_token_on_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run("context", "add", "x", "--url", PROD, "--token-stdin").code == 2


def test_u10_who_else_can_read_the_token(run: Run, tmp_path: Path) -> None:
    (tmp_path / "open").write_text("t\n")
    (tmp_path / "open").chmod(0o644)
    outcome = run("context", "add", "x", "--url", ELSEWHERE, "--token-file", str(tmp_path / "open"))
    assert outcome.code == 0
    assert "chmod 600" in outcome.err
    assert "is not encrypted" in outcome.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"contexts": {"a": {}}, "current": "a"}', "\x00"])
def test_a_broken_file_is_said_and_kept(run: Run, config: Path, content: str) -> None:
    config.mkdir(parents=True)
    (config / "contexts.json").write_text(content)
    with pytest.raises(SettingsError, match="does not hold contexts"):
        find()
    assert run("context", "add", "x", "--url", PROD).code == 78
    assert (config / "contexts.json").read_text() == content


def test_a_token_file_that_is_gone_or_empty(contexts: None, tmp_path: Path) -> None:
    (tmp_path / "prod").unlink()
    (tmp_path / "test").write_text(" \n")
    with pytest.raises(Unauthorized, match="No such file"):
        find(context="prod")
    with pytest.raises(Unauthorized, match="is empty"):
        find(context="test")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_named_by_its_place(
    run: Run, service: Service, contexts: None, tmp_path: Path, status: int
) -> None:
    assert (
        run("context", "add", "here", "--url", service.url, "--token-file", str(tmp_path / "prod")).code == 0
    )
    service.on("GET", "/jobs", problem(status, "This needs another one.", "Ask for it."))
    code, _, err = run("jobs", "-c", "here")
    assert code == 4
    assert f"The token is from {tmp_path / 'prod'}, the token file of context here." in err
    assert "prod-token" not in err
    assert service.asked[-1].headers["authorization"] == "Bearer prod-token"


def test_the_places_of_other_tokens(
    run: Run, service: Service, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("GET", "/jobs", problem(401, "No."))
    state.mkdir()
    (state / "token").write_text("own\n")
    assert f"The token is from {state / 'token'}." in run("jobs").err
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", "x")
    assert "The token is from MODEL_MANAGER_API_TOKEN." in run("jobs").err
    (tmp_path / "file").write_text("y")
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN_FILE", str(tmp_path / "file"))
    assert f"The token is from {tmp_path / 'file'}, as MODEL_MANAGER_API_TOKEN_FILE says." in run("jobs").err
