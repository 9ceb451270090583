"""Where the service is, and the token it wants.

The address: `--url` or MODEL_MANAGER_URL, else what the service wrote into `service.json` of the state
folder, else port 8080 of this machine. The token: the settings', else the file `token` of the state folder, for
a service that was found by that folder or is named on loopback.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from model_manager.cli.client import Client, parse_address
from model_manager.settings import Settings, load, read_token
from model_manager.state.lock import held_by

DEFAULT_URL = "http://127.0.0.1:8080"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Running:
    """What a running service says of itself in `service.json`."""

    url: str
    pid: int


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


def connect(url: str | None = None) -> Client:
    """A client of the service meant by the flag, the settings and the state folder. Raises SettingsError."""
    settings = load({"url": url} if url else {})
    return Client(*_find(settings))


def _find(settings: Settings) -> tuple[str, str | None]:
    found = running(settings.state_path)
    url = settings.url or (found.url if found else DEFAULT_URL)
    token = read_token(settings)
    # The state folder's token is for the service on this machine: an address elsewhere must not see it, nor
    # whoever happens to listen on the default port.
    if token is None and (settings.url or found) and parse_address(url).hostname in _LOOPBACK:
        token = local_token(settings.state_path)
    return url, token


def local_token(state: Path) -> str | None:
    """The token that a service on loopback made for itself."""
    try:
        return (state / "token").read_text().strip() or None
    except OSError:
        return None
