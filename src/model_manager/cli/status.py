"""`model-manager status`: what is served now, and why."""

from collections.abc import Iterator

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, Watch, each, listing_command


def add_to(app: typer.Typer) -> None:
    app.command()(status)


@listing_command
def status(session: Session, watch: Watch = False) -> None:
    """Show what each slot serves, and how the service is.

    Example: model-manager status --watch
    """

    def text(answer: "api.types.SlotList") -> None:
        info = session.client.system_info()
        output.say(f"Model Manager {info.version} at {session.client.url}, platform {info.platform}")
        _catalog(info.catalog)
        for problem in info.problems:
            output.say(f"problem: {problem}")
        for slot in answer.slots:
            print_slot(slot)

    session.ask(text, api.calls.list_slots(), each("slots", "name"), watch)


def _catalog(catalog: "api.types.CatalogInfo") -> None:
    models = output.count(catalog.count, "model")
    output.say(f"catalog: {models} at commit {catalog.revision[:12] or '-'}")
    if catalog.error:
        output.say(f"  stale: {catalog.error}")
    if catalog.problems:
        problems = output.count(catalog.problems, "problem")
        output.say(f"  {problems} in its files: `model-manager catalog` lists them.")


def print_slot(slot: "api.types.Slot") -> None:
    output.say(f"{slot.name}: {sentence(slot)}")
    output.facts(_details(slot))


def sentence(slot: "api.types.Slot") -> str:
    desired = slot.desired
    if desired is None:
        return "empty. Activate a model: `model-manager run ID`."
    if slot.state == "active":
        waiting = f", {slot.in_flight} requests in flight" if slot.in_flight else ""
        return f"{desired.model_id} is active{waiting}."
    if slot.state == "failed":
        return f"{desired.model_id} failed and nothing serves."
    beside = f"; {slot.serving} still serves" if slot.serving not in (None, desired.model_id) else ""
    return f"{desired.model_id} is on its way ({slot.state}){beside}."


def _details(slot: "api.types.Slot") -> Iterator[tuple[str, str | None]]:
    desired, failure = slot.desired, slot.last_failure
    if desired:
        yield "  activation", desired.id
        yield "  catalog", desired.revision
        yield "  since", output.ago(desired.phase_at) if desired.phase_at else None
    yield "  reason", slot.reason or (desired.reason if desired else None)
    yield "  hint", desired.hint if desired else None
    if failure and (desired is None or failure.id != desired.id):  # else its reason and hint are the slot's
        yield "  last failure", _failure(failure)
        yield "  its hint", failure.hint
    for one in slot.drift:
        yield "  changed", f"{one.field} by {one.by or 'somebody else'}: {one.wanted!r} is {one.found!r} now"
    if desired and desired.catalog_moved_on:
        yield "  note", "the catalog has a newer version of it"


def _failure(activation: "api.types.Activation") -> str:
    when = output.ago(activation.ended_at)
    return f"{activation.model_id}, {when}: {activation.reason or 'no reason was given'}"
