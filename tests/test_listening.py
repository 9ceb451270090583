"""The token that a service on loopback makes for itself."""

import logging
from pathlib import Path

import pytest

from model_manager.listening import own_token


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
