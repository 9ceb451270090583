"""`model-manager activations`: attempts to make a slot serve a model, and how they ended."""

from typing import Annotated, Any

import typer

from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, Watch, listing_command
from model_manager.cli.group import noun
from model_manager.cli.options import Limit
from model_manager.cli.records import created

app = noun("activations", "Attempts to serve a model; alone, lists them.")

ActivationId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Id of an activation, as `activations list` shows it.",
        autocompletion=completing.activations,
    ),
]  # fmt: skip


def state_of(activation: dict[str, Any]) -> str:
    """Its result once it has one, its phase until then; `active` only while it serves."""
    if activation.get("result") == "active" and not activation.get("serving", True):
        return "was active"
    return str(activation.get("result") or activation["phase"])


COLUMNS: records.Told = (
    ("ID", "id"), ("SLOT", "slot"), ("MODEL", "modelId"), ("STATE", state_of), ("CREATED", created),
    ("REASON", "reason"),
)  # fmt: skip
FACTS: records.Told = (
    ("activation", "id"), ("model", "modelId"), ("slot", "slot"), ("state", state_of), ("reason", "reason"),
    ("hint", "hint"), ("exit status", "exitCode"), ("catalog", "revision"), ("weights", "weights"),
    ("job", "jobId"), ("restored by", "restoredBy"), ("asked by", "actor"), ("created", "createdAt"),
    ("ended", "endedAt"),
)  # fmt: skip


@app.command("list")
@listing_command
def list_activations(
    session: Session,
    slot: Annotated[
        str | None,
        typer.Option(
            "--slot", help="Only of this slot.", show_default=False, autocompletion=completing.slots
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Only of this model.", show_default=False, autocompletion=completing.models
        ),
    ] = None,
    result: Annotated[
        str | None,
        typer.Option("--result", help="Only those that ended so: active, failed …", show_default=False),
    ] = None,
    limit: Limit = 20,
    watch: Watch = False,
) -> None:
    """List activations, newest first.

    Example: model-manager activations -n 5
    """
    show_activations(session, "activations", slot=slot, model=model, result=result, limit=limit, watch=watch)


def show_activations(session: Session, *path: str, watch: bool, **query: Any) -> None:
    records.show_list(
        session,
        *path,
        of="activations",
        told=COLUMNS,
        empty="Nothing was activated yet.",
        watch=watch,
        **query,
    )


@app.command()
@listing_command
def show(session: Session, activation: ActivationId, watch: Watch = False) -> None:
    """Show one activation: its phase, and why it failed if it did.

    Example: model-manager activations show 5c1f0e9a77b2
    """
    records.show_one(session, "activations", activation, told=FACTS, beside=print_log_tail, watch=watch)


def print_log_tail(activation: dict[str, Any]) -> None:
    for line in activation.get("logTail") or ():
        output.say(f"  | {line}")


@app.command()
@listing_command
def cancel(session: Session, activation: ActivationId) -> None:
    """Cancel an activation under way; the last good one serves.

    Example: model-manager activations cancel 5c1f0e9a77b2
    """
    records.cancel(session, "activations", "Activation", activation)
