"""Settings: where values come from, what is refused, and how durations and sizes are written."""

from pathlib import Path

import pytest

from model_manager.errors import SettingsError
from model_manager.settings import SETTINGS, duration, hosts, load, origins, port, read_token, size, slot

HOME = {"HOME": "/home/someone"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("45", 45), ("0s", 0), ("2µs", 2e-6)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", "s", "1h?", "-"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("1048576", 2**20), ("500M", 5 * 10**8), ("10Gi", 10 * 2**30), ("1.5k", 1500), ("2GB", 2 * 10**9)],
)
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "10 Xi", "-5", "1e9"])
def test_a_wrong_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        size(text)


@pytest.mark.parametrize("text", ["-1", "65536", "http", "8080 ", "٣"])
def test_a_wrong_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        port(text)


@pytest.mark.parametrize("text", ["", "Active", "1a", "a.b", "a-", "a" * 41, "a_b", "-a"])
def test_a_wrong_slot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="slot"):
        slot(text)


@pytest.mark.parametrize("text", ["*", "a:8080", "https://a", "a/b", "*.*.example", "-a", "[::1"])
def test_a_wrong_host_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        hosts(f"good.example, {text}")


@pytest.mark.parametrize(
    "text", ["*", "null", "ui.example.com", "https://ui.example.com/", "https://*.example.com"]
)
def test_a_wrong_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        origins(f"https://good.example, {text}")


def test_names_of_hosts_and_origins() -> None:
    assert hosts("a.example, *.b.example,[2001:db8::1], 10.0.0.1") == (
        "a.example", "*.b.example", "[2001:db8::1]", "10.0.0.1"
    )  # fmt: skip
    assert origins("http://localhost:3000,https://ui.example.com") == (
        "http://localhost:3000", "https://ui.example.com"
    )  # fmt: skip
    assert load({}, HOME).allowed_hosts == load({}, HOME).cors_origins == ()


def test_a_flag_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("server_port: 1\nhost: 127.0.0.2\nlog_level: debug\ntrust_remote_code: true\n")
    loaded = load(
        {"server_port": "3"}, {**HOME, "SERVER_PORT": "2", "MODEL_MANAGER_HOST": "127.0.0.3"}, config
    )
    assert (loaded.server_port, loaded.host, loaded.log_level) == (3, "127.0.0.3", "debug")
    assert loaded.trust_remote_code is True
    assert loaded.origins["server_port"] == "--server-port"
    assert loaded.origins["host"] == "MODEL_MANAGER_HOST"
    assert loaded.origins["log_level"] == "config file"
    assert loaded.origins["slots"] == "default"


def test_the_originals_names_work() -> None:
    environ = {
        **HOME, "SERVER_PORT": "9000", "MODEL_CATALOG_ROOT": "/c", "MODEL_CATALOG_MODELS_SUBDIR": "entries",
        "CATALOG_REFRESH_INTERVAL": "1m", "ACTIVE_NAMESPACE": "llm", "ACTIVE_INFERENCESERVICE_NAME": "main",
        "WEIGHTS_STORAGE_PATH": "/w", "WEIGHTS_INSTALL_TIMEOUT": "2h", "WEIGHTS_PVC_NAME": "models",
        "STATE_PATH": "/s", "HUGGINGFACE_API_TOKEN": "hf", "MODEL_MANAGER_API_TOKEN": "secret",
    }  # fmt: skip
    loaded = load({}, environ)
    assert loaded.server_port == 9000
    assert loaded.catalog_root == Path("/c")
    assert (loaded.catalog_models_subdir, loaded.catalog_refresh_interval) == ("entries", 60)
    assert (loaded.namespace, loaded.active_slot) == ("llm", "main")
    assert (loaded.weights_path, loaded.weights_install_timeout) == (Path("/w"), 7200)
    assert (loaded.weights_pvc_name, loaded.state_path) == ("models", Path("/s"))
    assert (loaded.hub_token, loaded.api_token) == ("hf", "secret")


def test_knatives_port_is_read_and_the_originals_wins() -> None:
    assert load({}, {**HOME, "PORT": "8012"}).server_port == 8012
    assert load({}, {**HOME, "PORT": "8012", "SERVER_PORT": "8080"}).server_port == 8080


def test_an_empty_string_counts_as_unset() -> None:
    assert load({}, {**HOME, "SERVER_PORT": "", "STATE_PATH": ""}).server_port == 8080


def test_defaults_of_the_two_platforms() -> None:
    local = load({}, HOME)
    assert local.state_path == Path("/home/someone/.local/state/model-manager")
    assert local.weights_path == local.state_path / "weights"
    assert (local.host, local.catalog_root) == ("127.0.0.1", None)
    cluster = load({}, {**HOME, "MODEL_MANAGER_PLATFORM": "kserve"})
    assert (cluster.host, cluster.state_path) == ("0.0.0.0", Path("/app/state"))
    assert (cluster.catalog_root, cluster.weights_path) == (Path("/workspace/catalog"), Path("/mnt/models"))


def test_a_misspelt_name_is_refused_with_the_right_one() -> None:
    with pytest.raises(SettingsError, match="MODEL_MANAGER_API_TOKN") as refused:
        load({}, {**HOME, "MODEL_MANAGER_API_TOKN": "x"})
    assert refused.value.hint == "Did you mean MODEL_MANAGER_API_TOKEN?"


def test_a_misspelt_name_in_the_file_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("server_prt: 1\n")
    with pytest.raises(SettingsError, match="server_prt") as refused:
        load({}, HOME, config)
    assert "SERVER_PORT" in refused.value.hint or "server_port" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "said"), [("- a\n", "name: value"), ("a: [\n", "not YAML"), (None, "cannot be read")]
)
def test_a_broken_file_is_a_sentence(tmp_path: Path, content: str | None, said: str) -> None:
    config = tmp_path / "settings.yaml"
    if content is not None:
        config.write_text(content)
    with pytest.raises(SettingsError, match=said):
        load({}, HOME, config)


LINKS = [
    "MODEL_MANAGER_PORT",
    "MODEL_MANAGER_SERVICE_HOST",
    "MODEL_MANAGER_SERVICE_PORT",
    "MODEL_MANAGER_SERVICE_PORT_HTTP",
    "MODEL_MANAGER_PORT_80_TCP",
    "MODEL_MANAGER_PORT_80_TCP_PROTO",
    "MODEL_MANAGER_PORT_80_TCP_PORT",
    "MODEL_MANAGER_PORT_80_TCP_ADDR",
    "MODEL_MANAGER_STABLE_SERVICE_HOST",
    "MODEL_MANAGER_STABLE_PORT_8012_TCP_ADDR",
]


@pytest.mark.parametrize("name", LINKS)
def test_names_that_kubernetes_injects_are_ignored(name: str) -> None:
    assert load({}, {**HOME, name: "tcp://10.0.0.1:80"}).server_port == 8080


@pytest.mark.parametrize("name", [row.env for row in SETTINGS])
def test_no_setting_is_named_like_an_injected_one(name: str) -> None:
    assert name not in LINKS
    assert not name.endswith(("_SERVICE_HOST", "_SERVICE_PORT"))
    assert name == "SERVER_PORT" or not name.endswith("_PORT")


def test_a_wrong_value_names_the_setting_and_where_it_came_from() -> None:
    with pytest.raises(SettingsError, match=r"server_port \(from SERVER_PORT\).*'http' is not a port"):
        load({}, {**HOME, "SERVER_PORT": "http"})


def test_the_token_file_wins_and_is_stripped(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    settings = load(
        {}, {**HOME, "MODEL_MANAGER_API_TOKEN": "from-env", "MODEL_MANAGER_API_TOKEN_FILE": str(file)}
    )
    assert read_token(settings) == "from-file"


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_an_absent_or_empty_token_file_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    settings = load({}, {**HOME, "MODEL_MANAGER_API_TOKEN_FILE": str(file)})
    with pytest.raises(SettingsError, match=str(file)):
        read_token(settings)


def test_settings_are_frozen() -> None:
    settings = load({}, HOME)
    changed = settings.replace(server_port=0)
    assert (settings.server_port, changed.server_port) == (8080, 0)
    with pytest.raises(AttributeError):
        settings.no_such_setting  # noqa: B018
