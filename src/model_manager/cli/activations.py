"""`model-manager activations`: attempts to make a slot serve a model, and how they ended."""

from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, answering_command
from model_manager.cli.group import noun

app = noun("activations", "Attempts to serve a model; alone, lists them.")

ActivationId = Annotated[
    str, typer.Argument(metavar="ID", help="Id of an activation, as `activations list` shows it.")
]


@app.command("list")
@answering_command
def list_activations(
    session: Session,
    slot: Annotated[str | None, typer.Option("--slot", help="Only of this slot.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many, newest first.")] = 20,
) -> None:
    """List activations, newest first.

    Example: model-manager activations -n 5
    """

    def text(answer: dict[str, Any]) -> None:
        rows = [
            (a["id"], a["slot"], a["modelId"], state_of(a), output.ago(a.get("createdAt")), a.get("reason"))
            for a in answer["activations"]
        ]
        output.table(
            ("ID", "SLOT", "MODEL", "STATE", "CREATED", "REASON"), rows, "Nothing was activated yet."
        )

    session.show(text, "activations", slot=slot, limit=limit)


@app.command()
@answering_command
def show(session: Session, activation: ActivationId) -> None:
    """Show one activation: its phase, and why it failed if it did.

    Example: model-manager activations show 5c1f0e9a77b2
    """

    def text(a: dict[str, Any]) -> None:
        output.facts(
            (
                ("activation", a["id"]),
                ("model", a["modelId"]),
                ("slot", a["slot"]),
                ("state", state_of(a)),
                ("reason", a.get("reason")),
                ("hint", a.get("hint")),
                ("exit status", a.get("exitCode")),
                ("catalog", a.get("revision")),
                ("weights", a.get("weights")),
                ("job", a.get("jobId")),
                ("restored by", a.get("restoredBy")),
                ("asked by", a.get("actor")),
                ("created", a.get("createdAt")),
                ("ended", a.get("endedAt")),
            )
        )
        for line in a.get("logTail") or ():
            output.say(f"  | {line}")

    session.show(text, "activations", activation)


@app.command()
@answering_command
def cancel(session: Session, activation: ActivationId) -> None:
    """Cancel an activation under way; the last good one serves.

    Example: model-manager activations cancel 5c1f0e9a77b2
    """
    cancelled = session.client.post("activations", activation, "cancel")
    session.tell(f"Activation {activation} is cancelled.", cancelled)


def state_of(activation: dict[str, Any]) -> str:
    """Its result once it has one, its phase until then; `active` only while it serves."""
    if activation.get("result") == "active" and not activation.get("serving", True):
        return "was active"
    return str(activation.get("result") or activation["phase"])
