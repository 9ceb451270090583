"""`forecast`: how long it would take until a model serves, from how long it took before."""

from collections.abc import Callable
from typing import Any

import typer

from model_manager.cli import output, records
from model_manager.cli.command import Session, answering_command
from model_manager.cli.options import ModelId, Slot


def add_to(app: typer.Typer) -> None:
    app.command()(forecast)


def _time(field: str) -> Callable[[dict[str, Any]], str | None]:
    return lambda told: None if told[field] is None else output.human_seconds(told[field])


FACTS: records.Told = (
    ("serves in", lambda told: _time("seconds")(told) or "not known yet"),
    ("to fetch", lambda told: output.human_size(told["bytesToFetch"])),
    ("installing", _time("installSeconds")),
    ("stopping", _time("stopSeconds")),
    ("starting", _time("startSeconds")),
    ("nothing serves for", _time("downtimeSeconds")),
    ("based on", lambda told: output.count(told["basedOn"], "load")),
)


@answering_command
def forecast(session: Session, model: ModelId, slot: Slot = None) -> None:
    """Tell how long activating a model would take.

    Example: model-manager forecast demo
    """

    def text(told: dict[str, Any]) -> None:
        records.print_facts(FACTS, told)
        for note in told["notes"]:
            output.say(note)

    session.ask(text, "activations", "forecast", model=model, slot=slot)
