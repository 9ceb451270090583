"""`forecast`: how long it would take until a model serves, from how long it took before."""

from collections.abc import Callable
from typing import Any

import typer

from model_manager import client as api
from model_manager.cli import output, records
from model_manager.cli.command import Session, answering_command
from model_manager.cli.options import ModelId, Slot


def add_to(app: typer.Typer) -> None:
    app.command()(forecast)


def _time(field: str) -> Callable[[Any], str | None]:
    def cell(told: "api.types.Forecast") -> str | None:
        seconds = getattr(told, field)
        return None if seconds is None else output.human_seconds(seconds)

    return cell


FACTS: records.Told = (
    ("serves in", lambda told: _time("seconds")(told) or "not known yet"),
    ("to fetch", lambda told: output.human_size(told.bytes_to_fetch)),
    ("installing", _time("install_seconds")),
    ("stopping", _time("stop_seconds")),
    ("starting", _time("start_seconds")),
    ("nothing serves for", _time("downtime_seconds")),
    ("based on", lambda told: output.count(told.based_on, "load")),
)


@answering_command
def forecast(session: Session, model: ModelId, slot: Slot = None) -> None:
    """Tell how long activating a model would take.

    Example: model-manager forecast demo
    """

    def text(told: "api.types.Forecast") -> None:
        records.print_facts(FACTS, told)
        for note in told.notes:
            output.say(note)

    session.ask(text, api.calls.forecast_activation(model=model, slot=slot))
