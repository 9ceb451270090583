"""What the shell is told when Tab is pressed after a command: ids of models, jobs, slots and so on, in silence.

Whatever goes wrong here, a person is in the middle of a line: then there is nothing to complete, and no word about it.
"""

import re
from collections.abc import Callable

import typer

from model_manager import client as api

PATIENCE = 0.6
"""Seconds for the whole look-up, so that with the program's own start the answer is there within one."""

_PLAIN = re.compile(r"[\w.:/@+][\w.:/@+-]*", re.ASCII)
"""Names that are offered. Shells read what they offer again, zsh as code: a service could have commands run."""


def words(*known: str) -> Callable[[str], list[str]]:
    """Words of the API that are known here; others are for the service to judge."""
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


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

    def read(client: "api.Client") -> list[str]:
        return [name for model in client.list_models() for name in (model.id, *model.aliases)]

    return _looked_up(ctx, incomplete, read)


def slots(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: [slot.name for slot in client.list_slots().slots])


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: [job.id for job in client.list_jobs().jobs])


def activations(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(
        ctx, incomplete, lambda client: [one.id for one in client.list_activations().activations]
    )


def weights(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: [one.name for one in client.list_weights().weights])


def tokens(ctx: typer.Context, incomplete: str) -> list[str]:
    return _looked_up(ctx, incomplete, lambda client: [one.name for one in client.list_tokens().tokens])


def _looked_up(ctx: typer.Context, incomplete: str, read: Callable[["api.Client"], list[str]]) -> list[str]:
    """What the service that the line names knows of. In a thread, since a name server may keep one waiting for long."""
    import threading

    found: list[str] = []

    def look() -> None:
        try:
            from model_manager.cli.address import find

            place = find(ctx.params.get("url"), ctx.params.get("context"))
            names = read(api.Client(place.url, place.token))
            found.extend(name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name))
        except Exception:
            pass

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return list(found)
