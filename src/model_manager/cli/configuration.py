"""`settings`: what the service was started with."""

import typer

from model_manager import client as api
from model_manager.cli import records
from model_manager.cli.command import Session, listing_command

COLUMNS: records.Told = (("NAME", "name"), ("VALUE", "value"), ("FROM", "origin"), ("VARIABLE", "env"))


def add_to(app: typer.Typer) -> None:
    app.command()(settings)


@listing_command
def settings(session: Session) -> None:
    """Show the service's settings and where each came from.

    Example: model-manager settings
    """
    call = api.calls.list_settings()
    records.show_list(session, call, "settings", COLUMNS, "There are no settings.", key="name")
