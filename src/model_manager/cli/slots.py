"""`model-manager slots`: the places that serve, one model each."""

from model_manager import client as api
from model_manager.cli import records, status
from model_manager.cli.activations import show_activations
from model_manager.cli.command import Session, Watch, client_command, listing_command
from model_manager.cli.group import noun
from model_manager.cli.logs import Follow, show_log
from model_manager.cli.options import Limit, Lines, MaybeModel, ModelId, SlotName, Timeout
from model_manager.cli.switch import Wait, follow

app = noun("slots", "The places that serve a model each; alone, lists them.")


def _desired(slot: "api.types.Slot") -> str | None:
    return slot.desired.model_id if slot.desired else None


COLUMNS: records.Told = (
    ("NAME", "name"), ("STATE", "state"), ("DESIRED", _desired), ("SERVING", "serving"),
    ("IN FLIGHT", "in_flight"), ("REASON", "reason"),
)  # fmt: skip


@app.command("list")
@listing_command
def list_slots(session: Session, watch: Watch = False) -> None:
    """List the slots: what each is to serve, and what it serves.

    Example: model-manager slots --watch
    """
    call = api.calls.list_slots()
    records.show_list(session, call, "slots", COLUMNS, "There are no slots.", key="name", watch=watch)


@app.command()
@listing_command
def show(session: Session, slot: SlotName, watch: Watch = False) -> None:
    """Show one slot.

    Example: model-manager slots show active-llm
    """
    session.ask(status.print_slot, api.calls.get_slot(slot), lambda answer: [answer.name], watch)


@app.command("set")
@listing_command
def set_model(
    session: Session, slot: SlotName, model: ModelId, wait: Wait = True, timeout: Timeout = None
) -> None:
    """Make this slot serve a model, installing it if needed.

    Example: model-manager slots set active-llm demo
    """
    follow(session, session.client.put_slot(slot, model=model), wait, timeout)


@app.command()
@listing_command
def clear(session: Session, slot: SlotName) -> None:
    """Empty this slot; it stays empty over restarts.

    Example: model-manager slots clear active-llm
    """
    session.do(api.calls.empty_slot(slot), lambda _: f"Slot {slot} is empty now.", lambda _: [slot])


@app.command()
@listing_command
def adopt(
    session: Session, slot: SlotName, model: MaybeModel = None, wait: Wait = True, timeout: Timeout = None
) -> None:
    """Take over the InferenceService that somebody else made under this name.

    Nothing of it is restarted. MODEL is the catalog's entry that it serves, if it does not say so itself.

    Example: model-manager slots adopt active-llm demo
    """
    follow(session, session.client.adopt_slot(slot, model=model), wait, timeout)


@app.command()
@client_command
def logs(session: Session, slot: SlotName, follow: Follow = False, lines: Lines = 100) -> None:
    """Show the log of this slot's model server.

    Example: model-manager slots logs active-llm -f
    """
    show_log(session, slot, follow, lines)


@app.command("activations")
@listing_command
def list_activations(session: Session, slot: SlotName, limit: Limit = 20, watch: Watch = False) -> None:
    """List what this slot was asked to serve, newest first.

    Example: model-manager slots activations active-llm
    """
    show_activations(session, api.calls.slot_activations(slot, limit=limit), watch)
