"""`model-manager quickstart`: from nothing to a chat on this machine, told step by step.

It starts the service in this process and then is a client of its HTTP API, as any other program could be:
what it shows is what the API said. The client's calls block, so they run in a thread beside the event loop.
"""

import asyncio
import errno
import shlex
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvloop

from model_manager import app, logs
from model_manager.cli import exit_codes, output
from model_manager.cli.address import running
from model_manager.cli.contexts import LOCAL, Contexts
from model_manager.cli.walk import Walk, step
from model_manager.client import Client
from model_manager.errors import Conflict, ModelManagerError, SettingsError
from model_manager.settings import Settings, config_home


class _Stopped(Exception):
    """Ctrl-C came while a step was waiting."""


def run(settings: Settings, check: bool) -> int:
    """Start, walk to a chat, and serve until Ctrl-C; with `check`, do it once in a temporary folder."""
    if settings.platform != "local":
        raise SettingsError(
            "quickstart runs models on this machine, but the platform is set to kserve.",
            "Use `model-manager serve` on a cluster, or unset MODEL_MANAGER_PLATFORM.",
        )
    if not check:
        _refuse_second(settings)
        return _start(_with_free_port(settings), check=False)
    with tempfile.TemporaryDirectory(prefix="model-manager-check-") as folder:
        state = Path(folder)
        settings = settings.replace(server_port=0, state_path=state, weights_path=state / "weights")
        return _start(settings, check=True)


def _start(settings: Settings, check: bool) -> int:
    settings = _quiet(settings)
    logs.configure(settings.log_level, settings.log_format)
    return uvloop.run(_serve(settings, check))


def _refuse_second(settings: Settings) -> None:
    found = running(settings.state_path)
    if found:
        raise Conflict(
            f"Model Manager already runs on {settings.state_path}: {found.url} (process {found.pid}).",
            "Talk to it with `model-manager chat`, or stop it first.",
        )


def _with_free_port(settings: Settings) -> Settings:
    """Only the default port is given up for a free one; a port that was asked for is the user's word."""
    if settings.origins.get("server_port") != "default":
        return settings
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.server_port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return settings  # the service will say what is wrong with this address
            output.say(f"Port {settings.server_port} is taken, so a free one is used.")
            return settings.replace(server_port=0)
    return settings


def _quiet(settings: Settings) -> Settings:
    """The steps are what is to be read here, not the log; unless a level was asked for."""
    if settings.origins.get("log_level") == "default":
        return settings.replace(log_level="warning")
    return settings


async def _serve(settings: Settings, check: bool) -> int:
    began = time.monotonic()
    async with app.running(settings) as service:
        app.stop_on_signals(service.stop)
        step(f"Model Manager runs at {service.url}", began)
        code = await _walk_unless(service.stop, Client(service.url, service.token))
        if not check and not service.stop.is_set():
            if code == exit_codes.OK:
                _say_next(settings, service)
            else:
                output.say(f"The service goes on at {service.url}. Ctrl-C stops it.")
            await service.stop.wait()
            output.say("Stopping.")
            code = exit_codes.OK
    if check and code == exit_codes.OK:
        output.say(f"Everything is stopped again. The whole way took {time.monotonic() - began:.1f} s.")
    return code


async def _walk_unless(stop: asyncio.Event, client: Client) -> int:
    """Walk in a thread; a signal ends the walk at its next pause, and the service with it."""
    stopping = threading.Event()

    def pause(seconds: float) -> None:
        if stopping.wait(seconds):
            raise _Stopped

    walk = asyncio.create_task(asyncio.to_thread(Walk(client, pause).all))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({walk, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    stopped.cancel()
    if not walk.done():
        walk.add_done_callback(_forget)
        return exit_codes.INTERRUPTED
    try:
        walk.result()
    except ModelManagerError as error:
        output.fail(error)
        return exit_codes.FAILED
    return exit_codes.OK


def _forget(walk: "asyncio.Task[None]") -> None:
    """What an interrupted walk still says is of no interest, but an exception must be looked at once."""
    if not walk.cancelled():
        walk.exception()


def _say_next(settings: Settings, service: app.RunningService) -> None:
    """What to type next. The token's place is told, never the token."""
    state, command = settings.state_path, command_name(Path(sys.argv[0]), Path.cwd())
    output.say("Next, in another terminal:\n")
    if settings.origins.get("state_path") != "default":
        output.say(f"  export STATE_PATH={shlex.quote(str(state))}")
    if Contexts(config_home()).current != LOCAL:
        output.say(f"  export MODEL_MANAGER_CONTEXT={LOCAL}")
    output.facts(
        (
            (f"  {command} chat", "talk to it"),
            (f"  {command} models", "see what else the catalog offers"),
            (f'  {command} run ID "hello"', "switch to another model and ask it"),
            (f"  {command} status", "see what is served, and why"),
        )
    )
    output.say()
    output.facts(
        (
            ("The API", f"{service.url}, and for OpenAI clients {service.url}/v1"),
            ("Its token", state / "token" if (state / "token").exists() else "the one of your settings"),
            ("The state", state),
            *_catalog_lines(settings, service),
        )
    )
    output.say("\nCtrl-C stops it; the next start goes on where it was.")


def command_name(program: Path, here: Path) -> str:
    """How to call this program again: by its name where the shell finds it, else by the path it was started by."""
    found = shutil.which("model-manager")
    if found or program.name != "model-manager":
        return "model-manager"
    inside = program.absolute().is_relative_to(here)
    return str(program.absolute().relative_to(here) if inside else program.absolute())


def _catalog_lines(settings: Settings, service: app.RunningService) -> list[tuple[str, object]]:
    """Where the catalog lies; and when it is the starter repository on this machine, how to change it."""
    path = service.catalog_path
    if path is None or settings.catalog_root:
        return [("The catalog", settings.catalog_url or path)]
    seconds = output.human_seconds(settings.catalog_refresh_interval)
    return [
        ("The catalog", f"{path}, a Git repository, read every {seconds}"),
        ("To change it", f"edit or add a file in {path / settings.catalog_models_subdir}, then"),
        ("", f'git -C {path} add -A && git -C {path} commit -m "Why"'),
    ]
