"""`model-manager models`: what the catalog offers."""

import json
from typing import Annotated, Any

import typer

from model_manager import client as api
from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, Watch, answering_command, listing_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.cli.group import noun
from model_manager.cli.options import ModelId, Slot, as_given

app = noun("models", "What the catalog offers; alone, lists it.")

NOT_RUN_HERE = "not-run-here"
"""Tag of entries whose settings their authors took from the model's page, without having run it."""


NONE = "The catalog has no models; see `model-manager catalog`."
NONE_SUCH = "The catalog has no such models; `model-manager models` lists all."


@app.command("list")
@listing_command
def list_models(
    session: Session,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Only those named so.", show_default=False)
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only with this tag.", show_default=False)] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", help="Only for this: chat or embed.", show_default=False,
            autocompletion=completing.words("chat", "embed"),
        ),
    ] = None,
    watch: Watch = False,
) -> None:  # fmt: skip
    """List the catalog's models: which serve, and which are installed.

    Example: model-manager models
    """

    def text(models: "list[api.types.ModelSummary]") -> None:
        active = _slots_by_model(session)
        installed = {weights.entry for weights in session.client.list_weights().weights} | active.keys()
        rows = [
            (m.id, m.display_name, m.task, active.get(m.id), m.id in installed, m.license, _note(m))
            for m in sorted(models, key=lambda m: m.id)
        ]
        heads = ("ID", "NAME", "TASK", "ACTIVE IN", "INSTALLED", "LICENSE", "NOTE")
        output.table(heads, rows, NONE_SUCH if search or tag or task else NONE, spare=("LICENSE", "NAME"))

    call = api.calls.list_models(q=search, tag=tag, task=as_given(task))
    session.ask(text, call, lambda models: [model.id for model in models], watch)


def _slots_by_model(session: Session) -> dict[str, list[str]]:
    """The models that serve, each with the slots it serves in."""
    found: dict[str, list[str]] = {}
    for slot in session.client.list_slots().slots:
        if slot.serving:
            found.setdefault(slot.serving, []).append(slot.name)
    return found


@app.command()
@answering_command
def show(session: Session, model: ModelId) -> None:
    """Show one entry of the catalog, as its file has it.

    Example: model-manager models show demo
    """
    session.ask(
        _indented, api.calls.get_model(model).untyped
    )  # as an Entry, it would say what its file does not


@app.command()
@answering_command
def manifest(session: Session, model: ModelId, slot: Slot = None) -> None:
    """Show the InferenceService an entry becomes.

    Example: model-manager models manifest demo -o json
    """
    session.ask(lambda answer: _indented(answer.manifest), api.calls.get_manifest(model, slot=slot))


TESTED: records.Told = (("CHECK", "name"), ("STATUS", "status"), ("MESSAGE", "message"))


@app.command("test")
@answering_command
def test_model(session: Session, model: ModelId, slot: Slot = None) -> int:
    """Look whether a model could be served, without serving it; exit code 1 if not.

    Example: model-manager models test demo
    """
    answer = session.client.test_model(id=model, slot=slot)

    def text() -> None:
        records.print_table(TESTED, answer.checks, "")
        output.note(
            "It could be served." if answer.status == "success" else "It could not be served as it is."
        )

    session.show(answer, text)
    return OK if answer.status == "success" else FAILED


def _note(model: "api.types.ModelSummary") -> str:
    notes = [f"also {', '.join(model.aliases)}"] if model.aliases else []
    if NOT_RUN_HERE in model.tags:
        notes.append("not run here")
    if model.stale:
        notes.append("its file is broken, this is its last good version")
    return "; ".join(notes)


def _indented(value: Any) -> None:
    output.say(json.dumps(value, indent=2, ensure_ascii=False))
