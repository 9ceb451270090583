"""`model-manager activations`: attempts to make a slot serve a model, and how they ended."""

from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, Watch, listing_command
from model_manager.cli.group import noun
from model_manager.cli.options import Limit, as_given
from model_manager.cli.records import created

app = noun("activations", "Attempts to serve a model; alone, lists them.")

ActivationId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Id of an activation, as `activations list` shows it.",
        autocompletion=completing.activations,
    ),
]  # fmt: skip


def state_of(activation: "api.types.Activation") -> str:
    """Its result once it has one, its phase until then; `active` only while it serves."""
    if activation.result == "active" and not activation.serving:
        return "was active"
    return activation.result or activation.phase


COLUMNS: records.Told = (
    ("ID", "id"), ("SLOT", "slot"), ("MODEL", "model_id"), ("STATE", state_of), ("CREATED", created),
    ("REASON", "reason"),
)  # fmt: skip


def _weights(activation: "api.types.Activation") -> str | None:
    by_kserve = activation.fetched_by == "kserve"
    return "fetched by KServe's storage initializer, anew for each pod" if by_kserve else None


FACTS: records.Told = (
    ("activation", "id"), ("model", "model_id"), ("slot", "slot"), ("state", state_of), ("reason", "reason"),
    ("hint", "hint"), ("exit status", "exit_code"), ("catalog", "revision"),
    ("weights", _weights), ("job", "job_id"), ("restored by", "restored_by"), ("asked by", "actor"),
    ("created", "created_at"), ("ended", "ended_at"),
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
        typer.Option(
            "--result", help="Only those that ended so: active, failed …", show_default=False,
            autocompletion=completing.words("active", "failed", "restored", "superseded", "cancelled"),
        ),
    ] = None,
    limit: Limit = 20,
    watch: Watch = False,
) -> None:  # fmt: skip
    """List activations, newest first.

    Example: model-manager activations -n 5
    """
    call = api.calls.list_activations(slot=slot, model=model, result=as_given(result), limit=limit)
    show_activations(
        session, call, watch, "There are no such activations." if slot or model or result else NONE
    )


NONE = "Nothing was activated yet."


def show_activations(
    session: Session, call: "api.Call[api.types.ActivationList]", watch: bool, empty: str = NONE
) -> None:
    records.show_list(session, call, "activations", COLUMNS, empty, watch=watch)


@app.command()
@listing_command
def show(session: Session, activation: ActivationId, watch: Watch = False) -> None:
    """Show one activation: its phase, and why it failed if it did.

    Example: model-manager activations show 5c1f0e9a77b2
    """
    call = api.calls.get_activation(activation)
    records.show_one(session, call, FACTS, beside=print_log_tail, watch=watch)


def print_log_tail(activation: "api.types.Activation") -> None:
    for line in activation.log_tail:
        output.say(f"  | {line}")


@app.command()
@listing_command
def cancel(session: Session, activation: ActivationId) -> None:
    """Cancel an activation under way; the last good one serves.

    Example: model-manager activations cancel 5c1f0e9a77b2
    """
    call = api.calls.cancel_activation(activation)
    session.do(call, lambda _: f"Activation {activation} is cancelled.", lambda _: [activation])
