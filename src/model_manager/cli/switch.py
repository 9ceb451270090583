"""`activate` and `deactivate`: what a slot is to serve. `run` and `slots set` ask in the same way."""

from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, listing_command
from model_manager.cli.options import ModelId, Slot, Timeout
from model_manager.cli.waiting import wait_for_activation

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it serves, or say why it does not.")]


def add_to(app: typer.Typer) -> None:
    app.command()(activate)
    app.command()(deactivate)


@listing_command
def activate(
    session: Session, model: ModelId, slot: Slot = None, wait: Wait = True, timeout: Timeout = None
) -> None:
    """Make a slot serve a model, installing it if needed.

    Example: model-manager activate demo
    """
    follow(session, ask_for(session, model, slot), wait, timeout)


def ask_for(session: Session, model: str, slot: str | None) -> "api.types.Activation":
    """Ask the service to activate a model: the activation that answers the wish."""
    return session.client.activate(id=model, slot=slot).activation


def follow(session: Session, activation: "api.types.Activation", wait: bool, timeout: float | None) -> None:
    """Tell how an activation ended, or with `wait` off how it began."""
    if not wait:
        accepted = f"Accepted. Activation {activation.id} is {activation.phase}."
        session.tell(accepted, activation, activation.id)
        output.note(f"Look at it with `model-manager activations show {activation.id}`.")
        return
    served = finish(session, activation, timeout)
    session.tell(f"{served.model_id} is active in slot {served.slot}.", served, served.id)


def finish(
    session: Session, activation: "api.types.Activation", timeout: float | None = None
) -> "api.types.Activation":
    """Wait for an activation until it serves; Ctrl-C leaves it to the service and says so."""
    try:
        return wait_for_activation(session.client, activation.id, timeout=timeout)
    except KeyboardInterrupt:
        output.note(f"\nThe service goes on with it: `model-manager activations show {activation.id}`.")
        raise


@listing_command
def deactivate(session: Session, slot: Slot = None) -> None:
    """Empty a slot; it stays empty over restarts.

    Example: model-manager deactivate
    """

    def sentence(answer: "api.types.Deactivated") -> str:
        emptied = answer.result.name
        if answer.result.action == "already_deleted":
            return f"Nothing was active in slot {emptied}."
        return f"Slot {emptied} is empty now."

    session.do(api.calls.deactivate(slot=slot), sentence, lambda answer: [answer.result.name])
