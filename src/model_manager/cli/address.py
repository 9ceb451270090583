"""Where the service is, and the token it wants.

The first of these that is given names the service: `--url` or `--context`, MODEL_MANAGER_URL, MODEL_MANAGER_CONTEXT,
the context in use; else it is the service of this machine, by what it wrote into `service.json` of the state folder, or
port 8080. A context's token goes to the context's address only. Other addresses get the token of the settings; this
machine's service, or one named on loopback, else the one in the file `token` of the state folder.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from model_manager.cli.contexts import LOCAL, Context, Contexts
from model_manager.client import ApiError
from model_manager.client.address import parse_address
from model_manager.errors import InvalidRequest, ModelManagerError
from model_manager.settings import Settings, config_home, load, read_token
from model_manager.state.lock import held_by

DEFAULT_URL = "http://127.0.0.1:8080"
TOKEN_HINT = (
    "Put the token into MODEL_MANAGER_API_TOKEN, a file named by MODEL_MANAGER_API_TOKEN_FILE, or a context "
    "(`model-manager context add`); on the service's own machine it is the file `token` in the state folder."
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Running:
    """What a running service says of itself in `service.json`."""

    url: str
    pid: int


@dataclass(frozen=True)
class Place:
    """A service's address, the token for it, and where that came from, in words."""

    url: str
    token: str | None = field(default=None, repr=False)
    token_from: str = ""

    def explain(self, error: ModelManagerError) -> None:
        """Where a refused token came from. The service calls a token a header; here that is a file or a variable."""
        if not isinstance(error, ApiError):
            return
        if error.http_status == 401:
            error.hint = f"The token is from {self.token_from}." if self.token else TOKEN_HINT
        elif error.http_status == 403 and self.token:
            error.hint = f"{error.hint} The token is from {self.token_from}.".strip()


def running(state: Path) -> Running | None:
    """The service that runs on this state folder, else None.

    It must be the one that holds the folder's lock: a killed one leaves its file behind, and its port to
    anybody, who would be shown the token.
    """
    try:
        said = json.loads((state / "service.json").read_bytes())
        found = Running(str(said["url"]), int(said["pid"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if held_by(state) == found.pid else None


def find(url: str | None = None, context: str | None = None) -> Place:
    """Which service is meant by the flags, the environment, the contexts and the state folder.

    Raises SettingsError, NotFound, Unauthorized or InvalidRequest.
    """
    if url and context:
        raise InvalidRequest("--url and --context each name a service.", "Give one of them.")
    settings = load()
    if url or (settings.url and not context):
        return _at(url or settings.url, settings)
    contexts = Contexts(config_home())
    name = context or settings.context or contexts.current
    return _local(settings) if name == LOCAL else _of(contexts.get(name), settings)


def of_folder(settings: Settings) -> Place | None:
    """The service that has the settings' state folder open, if one has and answers."""
    return _local(settings) if running(settings.state_path) else None


def local_token(state: Path) -> str | None:
    """The token that a service on loopback made for itself."""
    try:
        return (state / "token").read_text().strip() or None
    except OSError:
        return None


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own. Raises InvalidRequest when it is none."""
    return parse_address(url).hostname in _LOOPBACK


def _at(url: str, settings: Settings) -> Place:
    if (given := _given(url, settings)).token:
        return given
    # The state folder's token is for the service on this machine: an address elsewhere must not see it.
    return _with_local_token(url, settings) if is_loopback(url) else given


def _local(settings: Settings) -> Place:
    found = running(settings.state_path)
    given = _given(found.url if found else DEFAULT_URL, settings)
    # Nor must whoever happens to listen on the default port.
    return given if given.token or not found else _with_local_token(found.url, settings)


def _of(context: Context, settings: Settings) -> Place:
    token = context.token()
    if token is None:
        return _at(context.url, settings)
    return Place(context.url, token, f"{context.token_file}, the token file of context {context.name}")


def _given(url: str, settings: Settings) -> Place:
    token = read_token(settings)
    file = settings.api_token_file
    return Place(
        url, token, f"{file}, as MODEL_MANAGER_API_TOKEN_FILE says" if file else "MODEL_MANAGER_API_TOKEN"
    )


def _with_local_token(url: str, settings: Settings) -> Place:
    return Place(url, local_token(settings.state_path), str(settings.state_path / "token"))
