"""The table of settings (name, default, help) and the only reader of the environment.

A value comes from a flag, else the environment, else the file named by `--config`, else the default.
An empty string counts as unset, as in the original. Durations are written as Go does (`30s`, `1h30m`).
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from model_manager.errors import SettingsError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
# Not every start needs these: `re` compiles them at their first use, and keeps them.
_SLOT = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_HOST_NAME = r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]"
_ORIGIN = r"https?://[^/\s@,*?#]+"

# Kubernetes injects these into every pod of a namespace that holds a Service called `model-manager` or
# `model-manager-…` (docker link variables). They are not ours, and no setting may be named like one.
_SERVICE_LINK = r"MODEL_MANAGER(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"


def duration(text: str) -> float:
    """Seconds of a Go duration such as `90s` or `1h30m`; a bare number is seconds."""
    try:
        return float(text)
    except ValueError:
        pass
    if not text or _DURATION.sub("", text):
        raise ValueError(f"{text!r} is not a duration; write for example 30s, 5m or 1h30m")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION.findall(text))


def size(text: str) -> int:
    """Bytes of a size such as `500M`, `10Gi` or `1048576`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text.strip().lower())
    if not match:
        raise ValueError(f"{text!r} is not a size; write for example 500M or 10Gi")
    return int(float(match[1]) * _SIZE_UNITS[match[2] or ""])


def port(text: str) -> int:
    """A TCP port; 0 asks the system for a free one."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port; write a number from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of at least 1")
    return int(text)


def flag(text: str) -> bool:
    """`true` or `false`."""
    lowered = text.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return parse


def slot(text: str) -> str:
    """A slot's name is an InferenceService's name, so KServe's rule holds; 40 characters leave room for its suffixes."""
    if not re.fullmatch(_SLOT, text) or len(text) > 40:
        raise ValueError(
            f"{text!r} is not a slot name; use a-z, 0-9 and -, a letter first, at most 40 characters"
        )
    return text


def names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def slots(text: str) -> tuple[str, ...]:
    return tuple(slot(name) for name in names(text))


def hosts(text: str) -> tuple[str, ...]:
    """Host names without ports; `*.example.com` stands for those below it."""
    for name in names(text):
        if not re.fullmatch(_HOST_NAME, name):
            raise ValueError(f"{name!r} is not a host name; write models.example.com or *.example.com")
    return names(text)


def origins(text: str) -> tuple[str, ...]:
    """Web origins as browsers send them."""
    for origin in names(text):
        if not re.fullmatch(_ORIGIN, origin):
            raise ValueError(f"{origin!r} is not an origin; write for example https://ui.example.com")
    return names(text)


def folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def folders(text: str) -> tuple[Path, ...]:
    return tuple(folder(part) for part in names(text))


class Setting(NamedTuple):
    """One row: the attribute's name, its environment variable, how it is parsed, and what it means.

    `default` is written as a user would write it; "" means unset (None, or empty for lists).
    `local` is the default on the local platform where that differs.
    """

    name: str
    env: str
    parse: Callable[[str], Any]
    default: str
    help: str
    group: str
    local: str | None = None
    secret: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def _table(group: str, *rows: tuple[Any, ...], **common: Any) -> tuple[Setting, ...]:
    return tuple(Setting(row[0], row[1], row[2], row[3], row[4], group, *row[5:], **common) for row in rows)


CLIENT = "Command line"
"""The group of what only the commands that ask a service read: `serve` has no flags for it."""

SETTINGS: tuple[Setting, ...] = (
    *_table(
        "Service",
        ("platform", "MODEL_MANAGER_PLATFORM", one_of("local", "kserve"), "local", "What runs a slot: `local` processes, or `kserve` on a cluster"),
        ("host", "MODEL_MANAGER_HOST", str, "0.0.0.0", "Address to listen on; beyond loopback a token is required", "127.0.0.1"),
        ("server_port", "SERVER_PORT", port, "8080", "Port to listen on (Knative's `PORT` is read when this is unset); 0 takes a free one"),
        ("state_path", "STATE_PATH", folder, "/app/state", "Folder of the state file, logs and, on the local platform, everything else", "~/.local/state/model-manager"),
        ("shutdown_timeout", "MODEL_MANAGER_SHUTDOWN_TIMEOUT", duration, "25s", "Longest time to finish requests and hand over when told to stop"),
        ("log_level", "MODEL_MANAGER_LOG_LEVEL", one_of("debug", "info", "warning", "error"), "info", "Least severe log line that is written"),
        ("log_format", "MODEL_MANAGER_LOG_FORMAT", one_of("auto", "text", "json"), "auto", "`text` for people, `json` for machines; `auto` looks whether it writes to a terminal"),
    ),
    *_table(
        "Access",
        ("api_token", "MODEL_MANAGER_API_TOKEN", str, "", "Bearer token that writes (and, beyond loopback, reads) must carry"),
        ("webhook_secret", "MODEL_MANAGER_WEBHOOK_SECRET", str, "", "Secret that `POST /catalog/webhook` is signed with (GitHub) or carries (GitLab)"),
        secret=True,
    ),
    *_table(
        "Access",
        ("api_token_file", "MODEL_MANAGER_API_TOKEN_FILE", folder, "", "File holding that token; wins over the variable, and is read again when it changes"),
        ("webhook_secret_file", "MODEL_MANAGER_WEBHOOK_SECRET_FILE", folder, "", "File holding the webhook's secret; wins over the variable"),
        ("reads", "MODEL_MANAGER_READS", one_of("auto", "token", "open"), "auto", "Who may read: `token` asks for one, `open` never does, `auto` only beyond loopback"),
        ("public_paths", "MODEL_MANAGER_PUBLIC_PATHS", names, "/healthz,/readyz,/metrics", "Paths (comma-separated) that are readable without a token and under any host name"),
        ("allowed_hosts", "MODEL_MANAGER_ALLOWED_HOSTS", hosts, "", "Host names (comma-separated, `*.` for subdomains) under which the service answers; by default those of loopback when it listens there, else all"),
        ("cors_origins", "MODEL_MANAGER_CORS_ORIGINS", origins, "", "Origins (comma-separated) whose web pages may use the API"),
        ("tls_cert_file", "MODEL_MANAGER_TLS_CERT_FILE", folder, "", "Certificate chain (PEM) to serve HTTPS with; read again when it changes"),
        ("tls_key_file", "MODEL_MANAGER_TLS_KEY_FILE", folder, "", "Its private key (PEM)"),
        ("max_connections", "MODEL_MANAGER_MAX_CONNECTIONS", count, "4096", "Connections that are held at the same time"),
        ("max_connections_per_client", "MODEL_MANAGER_MAX_CONNECTIONS_PER_CLIENT", count, "1024", "Connections that one address may hold"),
    ),
    *_table(
        "Catalog",
        ("catalog_root", "MODEL_CATALOG_ROOT", folder, "/workspace/catalog", "Catalog on disk: a folder, or the link that git-sync keeps", ""),
        ("catalog_models_subdir", "MODEL_CATALOG_MODELS_SUBDIR", str, "models", "Folder of the entries inside the catalog"),
        ("catalog_url", "MODEL_MANAGER_CATALOG_URL", str, "", "Git URL (https, ssh or file) of a catalog that the service keeps in step itself; wins over the folder"),
        ("catalog_ref", "MODEL_MANAGER_CATALOG_REF", str, "HEAD", "Branch, tag or commit to follow with `catalog_url`"),
        ("catalog_credentials_file", "MODEL_MANAGER_CATALOG_CREDENTIALS_FILE", folder, "", "File with the token, or the user name and the token on two lines, for the Git URL"),
        ("catalog_refresh_interval", "CATALOG_REFRESH_INTERVAL", duration, "30s", "Time between two looks at the catalog", "2s"),
    ),
    *_table(
        "Weights",
        ("weights_path", "WEIGHTS_STORAGE_PATH", folder, "/mnt/models", "Folder of the installed weights", ""),
        ("weights_pvc_name", "WEIGHTS_PVC_NAME", str, "venus-model-storage", "Claim of that folder on a cluster, named in `storageUri`"),
        ("weights_install_timeout", "WEIGHTS_INSTALL_TIMEOUT", duration, "0s", "Longest time one install may take; 0s sets no limit"),
        ("disk_reserve", "MODEL_MANAGER_DISK_RESERVE", size, "1Gi", "Free space that installs leave on the disk"),
        ("file_sources", "MODEL_MANAGER_FILE_SOURCES", folders, "", "Folders (comma-separated) from which an absolute `file:` source may be copied"),
        ("hub_endpoint", "HF_ENDPOINT", str, "https://huggingface.co", "Address of the model hub"),
        ("job_concurrency", "MODEL_MANAGER_JOB_CONCURRENCY", count, "2", "Jobs that run at the same time"),
    ),
    *_table("Weights", ("hub_token", "HF_TOKEN", str, "", "Token for the hub (`HUGGINGFACE_API_TOKEN` is read too)"), secret=True),
    *_table(
        "Serving",
        ("active_slot", "ACTIVE_INFERENCESERVICE_NAME", slot, "active-llm", "The default slot, and the name of its InferenceService"),
        ("default_runtime", "MODEL_MANAGER_DEFAULT_RUNTIME", str, "vllm-runtime", "ServingRuntime of entries that name none", "llama-cpp"),
        ("slots", "MODEL_MANAGER_SLOTS", slots, "", "More slots (comma-separated)"),
        ("namespace", "ACTIVE_NAMESPACE", str, "ai", "Namespace of the InferenceServices"),
        ("kubeconfig", "MODEL_MANAGER_KUBECONFIG", folder, "", "Kubeconfig file of the cluster; unset takes the pod's own service account"),
        ("drift", "MODEL_MANAGER_DRIFT", one_of("repair", "keep"), "repair", "What happens to what others change in our InferenceServices: `repair` puts it back, `keep` only shows it"),
        ("hub_token_secret", "MODEL_MANAGER_HUB_TOKEN_SECRET", str, "", "Secret in that namespace whose key `HF_TOKEN` KServe's storage initializer gets where it fetches an `hf://` itself"),
        ("pod_access", "MODEL_MANAGER_POD_ACCESS", one_of("pod", "service"), "pod", "How a cluster's models are reached: by their `pod`'s address, or through KServe's `service` where a mesh needs it"),
        ("runtimes_path", "MODEL_MANAGER_RUNTIMES_PATH", folder, "", "Folder of further ServingRuntime files (YAML) for the local platform"),
        ("trust_remote_code", "MODEL_MANAGER_TRUST_REMOTE_CODE", flag, "false", "Let an entry's `trustRemoteCode` run code from the model's repository on this machine"),
        ("activation_timeout", "MODEL_MANAGER_ACTIVATION_TIMEOUT", duration, "10m", "Time from the start of the new model to its first token; then it has failed"),
        ("drain_timeout", "MODEL_MANAGER_DRAIN_TIMEOUT", duration, "30s", "Longest wait for requests in flight before the old model is stopped"),
        ("stop_timeout", "MODEL_MANAGER_STOP_TIMEOUT", duration, "10s", "Time from TERM to KILL for a local model server"),
        ("reconcile_interval", "MODEL_MANAGER_RECONCILE_INTERVAL", duration, "5s", "Longest time between two looks at a slot"),
    ),
    *_table(
        "Gateway",
        ("switch_wait", "MODEL_MANAGER_SWITCH_WAIT", duration, "30s", "Longest time a request waits for a slot that is switching models; then it is told when to come back"),
        ("switch_queue", "MODEL_MANAGER_SWITCH_QUEUE", count, "256", "Requests that may wait so for one slot"),
    ),
    *_table(
        "Telemetry",
        ("otel_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", str, "", "Where OpenTelemetry traces are sent (OTLP over HTTP); unset sends none"),
    ),
    *_table(
        CLIENT,
        ("url", "MODEL_MANAGER_URL", str, "", "Where the command line finds the service; by default the one running on the state folder"),
        ("context", "MODEL_MANAGER_CONTEXT", str, "", "Which of its contexts the command line uses where no URL is given; by default the one chosen by `context use`"),
    ),
    *_table(
        "History",
        ("events_keep", "MODEL_MANAGER_EVENTS_KEEP", count, "100000", "Events kept in the history"),
        ("events_keep_for", "MODEL_MANAGER_EVENTS_KEEP_FOR", duration, "2160h", "Age at which events are dropped"),
    ),
)  # fmt: skip

_OUTSIDE = re.compile(r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|SSH_AUTH_SOCK|(SSL|REQUESTS|CURL)_\w+|"
                      r"(?i:https?|all|no)_(?i:proxy)|(CUDA|NVIDIA|ROCM|ROCR|HIP|HSA)_\w+")  # fmt: skip

_ALIASES = {"hub_token": ("HUGGINGFACE_API_TOKEN",), "server_port": ("PORT",)}


class Settings(NamedTuple):
    """All values, frozen after start. Attribute access by a row's name: `settings.server_port`."""

    values: Mapping[str, Any]
    origins: Mapping[str, str] = MappingProxyType({})

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def replace(self, **changes: Any) -> "Settings":
        """A copy with some values changed by the program, for example a free port."""
        return Settings({**self.values, **changes}, {**self.origins, **dict.fromkeys(changes, "program")})


def load(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Settings:
    """Settings from flags (by row name), the environment and a file. Raises SettingsError with the row's name."""
    environ = os.environ if environ is None else environ
    refuse_unknown(environ)
    file = _read(config)
    texts = {row.name: _find(row, flags or {}, environ, file) for row in SETTINGS}
    local = (texts["platform"][0] or "local") == "local"
    values: dict[str, Any] = {}
    for row in SETTINGS:
        text, origin = texts[row.name]
        default = row.local if local and row.local is not None else row.default
        values[row.name] = _parse(row, text or default, origin)
    if local:
        values["state_path"] = _local_state(texts["state_path"][0], environ)
        values["weights_path"] = values["weights_path"] or values["state_path"] / "weights"
    return Settings(values, {name: origin for name, (_, origin) in texts.items()})


def read_token(settings: Settings) -> str | None:
    """The configured API token, from its file or the environment; None when none is set."""
    return _read_secret(settings, "api_token", "API token")


def read_webhook_secret(settings: Settings) -> str | None:
    """The secret of `POST /catalog/webhook`, from its file as it is now or the environment; None when none is set."""
    return _read_secret(settings, "webhook_secret", "webhook secret")


def _read_secret(settings: Settings, name: str, what: str) -> str | None:
    path: Path | None = settings.values[f"{name}_file"]
    if path is None:
        return settings.values[name] or None
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as e:
        cause = e.strerror if isinstance(e, OSError) else "it is not text"
        raise SettingsError(
            f"The {what} file {path} cannot be read: {cause}.",
            f"Mount the secret that holds it, or name another file in MODEL_MANAGER_{name.upper()}_FILE.",
        ) from e
    if not secret:
        raise SettingsError(f"The {what} file {path} is empty.", f"Write the {what} into it.")
    return secret


def outside(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What programs that we start may know of our environment: paths, proxies, devices; never a token of ours."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if _OUTSIDE.fullmatch(name)}


def refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt MODEL_MANAGER_ variable would otherwise be ignored in silence."""
    known = [row.env for row in SETTINGS]
    for name in environ:
        if name.startswith("MODEL_MANAGER_") and name not in known and not re.fullmatch(_SERVICE_LINK, name):
            raise SettingsError(
                f"The environment names {name}, which is no setting.", _did_you_mean(name, known)
            )


def _did_you_mean(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only here: most starts have no mistake to explain

    close = get_close_matches(name, known, 1, 0.6)
    return (
        f"Did you mean {close[0]}?"
        if close
        else "All settings are listed in docs/settings.md and by `serve --help`."
    )


def _read(config: Path | None) -> Mapping[str, Any]:
    if config is None:
        return {}
    import yaml  # only here: most starts have no file

    try:
        loaded = yaml.safe_load(config.read_text()) or {}
    except OSError as e:
        raise SettingsError(
            f"The settings file {config} cannot be read: {e.strerror}.", "Check --config."
        ) from e
    except yaml.YAMLError as e:
        raise SettingsError(f"The settings file {config} is not YAML: {e}", "Mend it.") from e
    known = [row.name for row in SETTINGS]
    if not isinstance(loaded, dict):
        raise SettingsError(f"{config}: expected `name: value` lines.", "See docs/settings.md.")
    for name in loaded:
        if name not in known:
            raise SettingsError(f"{config}: {name!r} is no setting.", _did_you_mean(str(name), known))
    return loaded


def _find(
    row: Setting, flags: Mapping[str, str], environ: Mapping[str, str], file: Mapping[str, Any]
) -> tuple[str, str]:
    if flags.get(row.name):
        return flags[row.name], row.flag
    for env in (row.env, *_ALIASES.get(row.name, ())):
        if environ.get(env):
            return environ[env], env
    value = file.get(row.name)
    if value not in (None, ""):
        return (str(value).lower() if isinstance(value, bool) else str(value)), "config file"
    return "", "default"


def _parse(row: Setting, text: str, origin: str) -> Any:
    if text == "" and row.parse not in (names, slots, hosts, origins, folders):
        return None if row.parse is not str else ""
    try:
        return row.parse(text)
    except ValueError as e:
        raise SettingsError(f"Setting {row.name} (from {origin}): {e}.", row.help + ".") from e


def config_home(environ: Mapping[str, str] | None = None) -> Path:
    """The folder where the command line keeps its contexts: `model-manager` in XDG_CONFIG_HOME, or in ~/.config."""
    environ = os.environ if environ is None else environ
    return folder(environ.get("XDG_CONFIG_HOME") or "~/.config") / "model-manager"


def _local_state(text: str, environ: Mapping[str, str]) -> Path:
    if text:
        return folder(text)
    if environ.get("XDG_STATE_HOME"):
        return folder(environ["XDG_STATE_HOME"]) / "model-manager"
    if environ.get("HOME"):
        return Path(environ["HOME"]) / ".local/state/model-manager"
    print("HOME is not set: the state lies in ./.model-manager", file=sys.stderr)  # noqa: T201
    return Path(".model-manager").absolute()
