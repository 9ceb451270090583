"""Issuing tokens and writing a support bundle: what lands where, and what is never overwritten."""

import errno
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from model_manager.cli import support
from model_manager.errors import InvalidRequest
from tests.cli.conftest import Run
from tests.cli.service import Asked, Reply, Service, problem

ISSUED: dict[str, Any] = {
    "id": "t1", "name": "ci", "scope": "chat", "models": ["demo"], "state": "valid", "createdAt": "then",
    "createdBy": "admin", "expiresAt": "2027-01-01T00:00:00Z", "lastUsed": None, "revokedAt": None,
    "token": "mm_s3cret",
}  # fmt: skip


def test_standard_output_is_the_secret_alone(run: Run, service: Service) -> None:
    """So that `T=$(model-manager token create …)` works."""
    service.on("POST", "/tokens", Reply(ISSUED, 201))
    code, out, err = run(
        "token", "create", "ci", "--scope", "chat", "--models", "demo, b", "--expires", "30d"
    )
    assert (code, out) == (0, "mm_s3cret\n")
    assert "expires 2027-01-01T00:00:00Z" in err and "never again" in err
    assert "mm_s3cret" not in err
    assert service.asked[0].payload == {
        "name": "ci",
        "scope": "chat",
        "models": ["demo", "b"],
        "expires": "30d",
    }


def test_what_is_not_said_is_not_sent(run: Run, service: Service) -> None:
    service.on("POST", "/tokens", Reply(ISSUED | {"models": None, "expiresAt": None}, 201))
    assert run("token", "create", "ci", "--scope", "read", "-q") == (0, "mm_s3cret\n", "")
    assert service.asked[0].payload == {"name": "ci", "scope": "read"}


def test_json_has_the_whole_answer(run: Run, service: Service) -> None:
    service.on("POST", "/tokens", Reply(ISSUED, 201))
    code, out, err = run("token", "create", "ci", "--scope", "chat", "-o", "json")
    assert (code, json.loads(out), err) == (0, ISSUED, "")


def test_a_scope_is_asked_for(run: Run) -> None:
    assert run("token", "create", "ci").code == 2
    assert run("token", "create", "ci", "--scope", "all").code == 2


def test_listing_and_revoking(run: Run, service: Service) -> None:
    service.on("GET", "/tokens", {"tokens": [ISSUED], "next": None})
    service.on("DELETE", "/tokens/ci", ISSUED | {"state": "revoked"})
    assert run("token").out.splitlines()[1].split() == [
        "ci", "chat", "demo", "valid", "2027-01-01T00:00:00Z", "-", "then", "admin",
    ]  # fmt: skip
    assert run("token", "revoke", "ci").out == "Token ci is revoked.\n"


@pytest.fixture
def bundle(service: Service) -> bytes:
    data = b"PK\x03\x04 not really, \xff\x00 but not text either"
    service.on("GET", "/support-bundle", Reply(data, content_type="application/zip"))
    return data


def test_a_bundle_is_written_for_oneself(run: Run, bundle: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"
    code, out, err = run("support-bundle", "-o", str(file))
    assert (code, err) == (0, "")
    assert out.startswith(f"Wrote {file} (")
    assert file.read_bytes() == bundle
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_by_default_it_is_named_by_the_time(
    run: Run, bundle: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("support-bundle").code == 0
    assert [file.read_bytes() for file in tmp_path.glob("model-manager-support-*.zip")] == [bundle]


def test_nothing_is_overwritten_nor_asked_for(
    run: Run, service: Service, bundle: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.zip"
    file.write_text("precious")
    code, _, err = run("support-bundle", "-o", str(file))
    assert code == 1
    assert f"{file} exists already." in err
    assert file.read_text() == "precious"
    assert service.asked == []


def test_a_file_that_appears_meanwhile_is_not_overwritten(run: Run, service: Service, tmp_path: Path) -> None:
    file = tmp_path / "bundle.zip"

    def slow(_: Asked) -> Reply:
        file.write_text("precious")
        return Reply(b"PK", content_type="application/zip")

    service.on("GET", "/support-bundle", slow)
    assert run("support-bundle", "-o", str(file)).code == 1
    assert file.read_text() == "precious"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(403, "This needs a token of scope admin."), 4),
        (Reply(b"<html>", content_type="text/html"), 1),
    ],
    ids=["refused", "not ours"],
)
def test_no_file_is_left_of_what_failed(
    run: Run, service: Service, tmp_path: Path, answer: Reply, code: int
) -> None:
    service.on("GET", "/support-bundle", answer)
    assert run("support-bundle", "-o", str(tmp_path / "bundle.zip")).code == code
    assert not (tmp_path / "bundle.zip").exists()


def test_a_place_that_cannot_be_written(run: Run, bundle: bytes, tmp_path: Path) -> None:
    code, _, err = run("support-bundle", "-o", str(tmp_path / "nowhere" / "bundle.zip"))
    assert code == 2
    assert "cannot be written" in err


def test_half_a_bundle_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: the next try would be refused because of it."""

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fdopen", lambda *_: Full())
    with pytest.raises(InvalidRequest, match="No space left"):
        support._write(tmp_path / "b.zip", b"PK")
    assert not (tmp_path / "b.zip").exists()
