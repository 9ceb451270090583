"""The static token's file, as Kubernetes and people exchange it."""

import logging
import os
from pathlib import Path

import pytest

from model_manager.errors import SettingsError
from model_manager.events import EventLog
from model_manager.state.database import Database
from model_manager.tokens import TokenFile, Tokens


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first-token")
    path.chmod(0o600)
    return path


def watched(path: Path) -> TokenFile:
    def read() -> str:
        try:
            token = path.read_text().strip()
        except OSError as error:
            raise SettingsError(f"The API token file {path} cannot be read: {error.strerror}.") from error
        if not token:
            raise SettingsError(f"The API token file {path} is empty.")
        return token

    return TokenFile(path, read, "first-token")


def test_u10_a_file_written_again_is_read_again(path: Path) -> None:
    file = watched(path)
    assert file.changed() is None
    path.write_text("second-token\n")
    assert file.changed() == "second-token"
    assert file.changed() is None
    os.utime(path, (1, 1))  # touched, but the same
    assert file.changed() is None


def test_u10_a_link_led_elsewhere_is_a_change(tmp_path: Path) -> None:
    """So does the kubelet: `token -> ..data/token`, `..data -> ..2024_…`."""
    for name, token in (("..1", "first-token"), ("..2", "other-token")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(token)
        os.utime(tmp_path / name / "token", (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    file = watched(tmp_path / "token")
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert file.changed() == "other-token"


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_u10_a_file_that_cannot_be_used_leaves_the_token_and_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    file = watched(path)
    path.unlink()
    if damage == "empty":
        path.write_text("")
    assert (file.changed(), file.changed()) == (None, None)
    assert caplog.text.count("stays in force") == 1
    path.write_text("second-token")
    assert file.changed() == "second-token"


def test_u10_a_file_that_everyone_can_read_is_warned_of_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        file = watched(path)
        file.changed()
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert "first-token" not in caplog.text


async def test_u10_a_running_service_takes_the_new_token(
    path: Path, database: Database, events: EventLog
) -> None:
    tokens = Tokens(database, events, static="first-token", file=watched(path))
    path.write_text("second-token")
    await tokens.look()
    assert tokens.keyring.identify(b"first-token") is None
    found = tokens.keyring.identify(b"second-token")
    assert found is not None
    assert found.name == "admin"
