"""`activate`, `deactivate` and `logs`: the commands about what a slot serves."""

import json
from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, answering_command, client_command
from model_manager.cli.sse import messages
from model_manager.cli.waiting import wait_for_activation

Slot = Annotated[
    str | None,
    typer.Option("--slot", help="Slot to act on; by default the service's first.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    app.command()(activate)
    app.command()(deactivate)
    app.command()(logs)


@answering_command
def activate(
    session: Session,
    model: Annotated[str, typer.Argument(metavar="ID", help="Id or alias of a catalog entry.")],
    slot: Slot = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it serves, or say why it does not.")
    ] = True,
) -> None:
    """Make a slot serve a model, installing it if needed.

    Example: model-manager activate demo
    """
    activation = ask_for(session, model, slot)
    if not wait:
        session.tell(f"Accepted. Activation {activation['id']} is {activation['phase']}.", activation)
        output.note(f"Look at it with `model-manager activations show {activation['id']}`.")
        return
    served = finish(session, activation)
    session.tell(f"{model} is active in slot {activation['slot']}.", served)


def ask_for(session: Session, model: str, slot: str | None) -> dict[str, Any]:
    """Ask the service to activate a model: the activation that answers the wish."""
    payload = {"id": model} | ({"slot": slot} if slot else {})
    activation: dict[str, Any] = session.client.post("models", "activate", payload=payload)["activation"]
    return activation


def finish(session: Session, activation: dict[str, Any]) -> dict[str, Any]:
    """Wait for an activation until it serves; Ctrl-C leaves it to the service and says so."""
    try:
        return wait_for_activation(session.client, activation["id"])
    except KeyboardInterrupt:
        output.note(f"\nThe service goes on with it: `model-manager activations show {activation['id']}`.")
        raise


@answering_command
def deactivate(session: Session, slot: Slot = None) -> None:
    """Empty a slot; it stays empty over restarts.

    Example: model-manager deactivate
    """
    answer = session.client.post("models", "deactivate", payload={"slot": slot} if slot else None)
    emptied = answer["result"]["name"]
    if answer["result"]["action"] == "already_deleted":
        session.tell(f"Nothing was active in slot {emptied}.", answer)
    else:
        session.tell(f"Slot {emptied} is empty now.", answer)


@client_command
def logs(
    session: Session,
    slot: Annotated[
        str | None, typer.Argument(metavar="[SLOT]", help="Slot whose model server logs.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many at first.")] = 100,
) -> None:
    """Show the log of a slot's model server.

    Example: model-manager logs -f
    """
    slot = slot or session.client.get("slots")["slots"][0]["name"]
    if not follow:
        for line in session.client.get("slots", slot, "logs", lines=lines)["lines"]:
            output.say(line)
        return
    accept = {"Accept": "text/event-stream"}
    with session.client.stream(
        "GET", "slots", slot, "logs", headers=accept, lines=lines, follow="true"
    ) as answer:
        for message in messages(answer):
            output.say(json.loads(message.data)["line"])
