"""The token that a service on loopback makes for itself."""

import logging
import resource
from pathlib import Path

import pytest

from model_manager.errors import SettingsError
from model_manager.listening import make_room, own_token


def test_a_token_that_others_could_read_is_closed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, path = own_token("127.0.0.1", tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert own_token("127.0.0.1", tmp_path) == (token, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in caplog.text and token not in caplog.text


@pytest.mark.parametrize(
    ("host", "starts"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("models.example.com", False), ("", False),
    ],
)  # fmt: skip
def test_u1_without_a_token_it_starts_on_loopback_only(tmp_path: Path, host: str, starts: bool) -> None:
    if starts:
        assert len(own_token(host, tmp_path)[0]) >= 43
    else:
        with pytest.raises(SettingsError, match="can be reached from outside"):
            own_token(host, tmp_path)
        assert not (tmp_path / "token").exists()


def test_files_may_be_opened_for_all_connections(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        make_room(1000)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (2256, before[1])
        assert caplog.records == []
        make_room(10)  # never fewer than there were
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2256
        make_room(before[1])
        assert "ulimit -n" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
