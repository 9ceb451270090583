"""`model-manager models`: what the catalog offers."""

import json
from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, reading_command
from model_manager.cli.group import noun

app = noun("models", "What the catalog offers; alone, lists it.")

ModelId = Annotated[str, typer.Argument(metavar="ID", help="Id or alias of a catalog entry.")]


@app.command("list")
@reading_command
def list_models(session: Session) -> None:
    """List the models of the catalog.

    Example: model-manager models
    """

    def text(models: list[dict[str, Any]]) -> None:
        rows = [
            (m["id"], m["displayName"], m.get("task", "chat"), m.get("license"), _note(m))
            for m in sorted(models, key=lambda m: str(m["id"]))
        ]
        heads = ("ID", "NAME", "TASK", "LICENSE", "NOTE")
        output.table(heads, rows, "The catalog has no models; see `model-manager catalog`.")

    session.show(text, "models")


@app.command()
@reading_command
def show(session: Session, model: ModelId) -> None:
    """Show one entry of the catalog, as its file has it.

    Example: model-manager models show demo
    """
    session.show(_indented, "models", model)


@app.command()
@reading_command
def manifest(session: Session, model: ModelId) -> None:
    """Show the InferenceService an entry becomes.

    Example: model-manager models manifest demo -o json
    """
    session.show(lambda answer: _indented(answer["manifest"]), "models", model, "manifest")


def _note(model: dict[str, Any]) -> str:
    notes = [f"also {', '.join(model['aliases'])}"] if model.get("aliases") else []
    if model.get("stale"):
        notes.append("its file is broken, this is its last good version")
    return "; ".join(notes)


def _indented(value: Any) -> None:
    output.say(json.dumps(value, indent=2, ensure_ascii=False))
