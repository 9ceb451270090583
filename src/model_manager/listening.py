"""The port this service listens on, the token it asks for, and the note that tells this machine where it is."""

import contextlib
import ipaddress
import logging
import os
import resource
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from model_manager.errors import SettingsError

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. Names other than `localhost` count as reachable."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_token(host: str, state: Path) -> tuple[str, Path]:
    """A token of our own making, for a service that only this machine can reach, and the file it lies in (mode 0600).

    Raises SettingsError when `host` can be reached from elsewhere: there, someone has to choose the token.
    """
    if not is_loopback(host):
        raise SettingsError(
            f"No API token is set, and {host} can be reached from outside this machine.",
            "Set MODEL_MANAGER_API_TOKEN or MODEL_MANAGER_API_TOKEN_FILE, or listen on 127.0.0.1.",
        )
    path = state / "token"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or not path.read_text().strip():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        _keep_private(path)
        return path.read_text().strip(), path
    except OSError as e:
        raise SettingsError(
            f"The API token cannot be kept in the state folder: {path}: {e.strerror}.",
            "Name a folder that this user may write to in STATE_PATH.",
        ) from e


def _keep_private(path: Path) -> None:
    """A copied or restored state folder easily comes with wider rights."""
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
        log.warning(
            "the token file %s was open to other users and is closed again; delete it to get a new one", path
        )


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; port 0 takes a free one. Raises SettingsError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:  # so that Nagle is off
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as e:
            raise SettingsError(
                f"Cannot listen on {host} port {port}: {e.strerror}.",
                "Another program has it, or the address is not this machine's. Set SERVER_PORT (0 takes a free one).",
            ) from e
        listener.listen(1024)
        listener.setblocking(False)
        yield listener


def make_room(connections: int) -> None:
    """Let this process hold so many connections, each with one to a model server. Says when the system forbids it."""
    wanted = 2 * connections + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS has a limit of its own below an unlimited one
        allowed = soft
    if allowed < wanted:
        log.warning(
            "the system lets this process open %d files (ulimit -n), but %d connections may need %d",
            allowed, connections, wanted,
        )  # fmt: skip


def url_of(host: str, listener: socket.socket, scheme: str = "http") -> str:
    """Where this machine reaches the listener."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else host
    return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"


@contextlib.contextmanager
def announced(state: Path, url: str) -> Iterator[None]:
    """Tell the command line of this machine where we are."""
    path = state / "service.json"
    path.write_bytes(msgspec.json.encode({"url": url, "pid": os.getpid()}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
