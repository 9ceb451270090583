"""Settings as they are shown: as one would write them, where they came from, and never a secret."""

from pathlib import Path

import pytest

from model_manager.settings import SETTINGS, Setting, load, read_webhook_secret
from model_manager.settings_shown import shown

HOME = {"HOME": "/home/someone"}


def rows(flags: dict[str, str] | None = None, **environ: str) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in shown(load(flags, HOME | environ))}


def test_every_setting_is_shown_with_its_help() -> None:
    found = rows()
    assert list(found) == [row.name for row in SETTINGS]
    assert all(row["help"] and row["group"] for row in found.values())


VALUES = (
    ("drain_timeout", "90s", "90s"),
    ("drain_timeout", "1h30m", "90m"),
    ("drain_timeout", "250ms", "0.25s"),
    ("weights_install_timeout", "0", "0s"),
    ("disk_reserve", "2048Mi", "2Gi"),
    ("disk_reserve", "1500", "1500"),
    ("disk_reserve", "0", "0"),
    ("slots", "b, a", "b,a"),
    ("trust_remote_code", "yes", "true"),
    ("state_path", "/srv/state", "/srv/state"),
    ("catalog_root", "", ""),
    ("hub_endpoint", "https://user:word@hub.example", "https://[secret]@hub.example"),
    ("otel_endpoint", "http://ghp_1234567890@collector:4318/v1", "http://[secret]@collector:4318/v1"),
)


@pytest.mark.parametrize(("name", "given", "value"), VALUES)
def test_a_value_is_shown_as_one_would_write_it(name: str, given: str, value: str) -> None:
    assert rows({name: given})[name]["value"] == value


def test_defaults_are_shown_as_the_table_writes_them() -> None:
    """So that what was not changed reads the same in both columns; paths are the exception, being made absolute."""
    differ = [name for name, row in rows().items() if row["value"] != row["default"]]
    assert differ == ["state_path", "api_token", "webhook_secret", "weights_path", "hub_token"]


def test_where_a_value_came_from(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("namespace: models")
    settings = load({"host": "127.0.0.2"}, HOME | {"PORT": "81"}, config).replace(slots=("other",))
    origins = {row["name"]: row["origin"] for row in shown(settings)}
    assert {name: origins[name] for name in ("host", "server_port", "namespace", "slots", "platform")} == {
        "host": "flag",
        "server_port": "env",
        "namespace": "file",
        "slots": "program",
        "platform": "default",
    }


@pytest.mark.parametrize("row", [row for row in SETTINGS if row.secret], ids=lambda row: row.name)
def test_of_a_secret_only_whether_it_is_set(row: Setting) -> None:
    assert rows()[row.name]["value"] == "not set"
    found = shown(load({}, HOME | {row.env: "canary-0123456789"}))
    assert "canary" not in str(found)
    assert next(one["value"] for one in found if one["name"] == row.name) == "set"


def test_the_webhooks_secret_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    settings = load({"webhook_secret_file": str(file), "webhook_secret": "the variable's"}, HOME)
    assert read_webhook_secret(settings) == "first"
    file.write_text("second")
    assert read_webhook_secret(settings) == "second"
    assert read_webhook_secret(load({}, HOME)) is None
