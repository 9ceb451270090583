"""`/state`: what another service's state had, taken over while this one runs."""

from typing import Annotated

from msgspec import Meta, Struct

from model_manager import commands
from model_manager.commands import OriginalEvent, OriginalJob, Parts, TakenOver
from model_manager.http.routing import Request, Route


class Import(Struct, forbid_unknown_fields=True):
    """Jobs and history as the original service (up to 0.4.4) stored them; `file` says where they are from."""

    file: Annotated[str, Meta(min_length=1, max_length=1000)]
    jobs: list[OriginalJob] = []
    events: list[OriginalEvent] = []


async def import_state(parts: Parts, body: Import, request: Request) -> TakenOver:
    """Take over the original's jobs and history. What is there already is left as it is.

    `model-manager state import` sends this: the service itself opens no file that a request names.
    """
    return await parts.database.write(
        lambda txn: commands.take_over(txn, parts.events, body.jobs, body.events, body.file, request.actor)
    )


ROUTES = (Route("POST", "/state/import", import_state),)
