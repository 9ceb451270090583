"""`logs`: what a slot's model server says."""

import json
from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import completing, output
from model_manager.cli.command import Session, client_command
from model_manager.cli.options import Lines

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")]


def add_to(app: typer.Typer) -> None:
    app.command()(logs)


@client_command
def logs(
    session: Session,
    slot: Annotated[
        str | None,
        typer.Argument(
            metavar="[SLOT]",
            help="Slot whose model server logs; by default the first.",
            autocompletion=completing.slots,
        ),
    ] = None,
    follow: Follow = False,
    lines: Lines = 100,
) -> None:
    """Show the log of a slot's model server.

    Example: model-manager logs -f
    """
    show_log(session, slot or first_slot(session), follow, lines)


def first_slot(session: Session) -> str:
    """The default slot comes first."""
    return session.client.list_slots().slots[0].name


def show_log(session: Session, slot: str, follow: bool, lines: int) -> None:
    """The last lines, and with `follow` those that come, until Ctrl-C."""
    if not follow:
        for line in session.client.slot_logs(slot, lines=lines).lines:
            output.say(line)
        return
    for message in session.client.stream(api.calls.slot_logs(slot, lines=lines)):
        output.say(json.loads(message.data)["line"])
