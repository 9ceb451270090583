"""What the shell is told when Tab is pressed after a command: ids of models, jobs, slots and so on, in silence.

Whatever goes wrong here, a person is in the middle of a line: then there is nothing to complete, and no word about it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from model_manager.cli.client import Client

PATIENCE = 0.6
"""Seconds for the whole look-up, so that with the program's own start the answer is there within one."""


def context_names(incomplete: str) -> list[str]:
    try:
        from model_manager.cli.contexts import LOCAL, Contexts
        from model_manager.settings import config_home

        names = [LOCAL, *(one.name for one in Contexts(config_home()))]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


def models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids and aliases."""

    def read(client: "Client") -> list[str]:
        found = client.get("models")
        return [name for model in found for name in (model["id"], *(model.get("aliases") or ()))]

    return _looked_up(ctx, incomplete, read)


def slots(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: _each(client.get("slots")["slots"], "name"))


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: _each(client.get("jobs")["jobs"], "id"))


def activations(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: _each(client.get("activations")["activations"], "id"))


def weights(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: _each(client.get("weights")["weights"], "name"))


def tokens(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: _each(client.get("tokens")["tokens"], "name"))


def _each(things: list[dict[str, Any]], key: str) -> list[str]:
    return [str(thing[key]) for thing in things]


def _looked_up(ctx: typer.Context, incomplete: str, read: Callable[["Client"], list[str]]) -> list[str]:
    """What the service that the line names knows of. In a thread, since a name server may keep one waiting for long."""
    import threading

    found: list[str] = []

    def look() -> None:
        try:
            from model_manager.cli.address import connect

            client = connect(ctx.params.get("url"), ctx.params.get("context"), patience=PATIENCE)
            found.extend(name for name in read(client) if name.startswith(incomplete))
        except Exception:
            pass

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return list(found)
