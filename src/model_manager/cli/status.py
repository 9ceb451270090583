"""`model-manager status`: what is served now, and why."""

from typing import Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, Watch, each, listing_command


def add_to(app: typer.Typer) -> None:
    app.command()(status)


@listing_command
def status(session: Session, watch: Watch = False) -> None:
    """Show what each slot serves, and how the service is.

    Example: model-manager status --watch
    """

    def text(answer: dict[str, Any]) -> None:
        info = session.client.get("system", "info")
        output.say(f"Model Manager {info['version']} at {session.client.url}, platform {info['platform']}")
        _catalog(info["catalog"])
        for problem in info["problems"]:
            output.say(f"problem: {problem}")
        for slot in answer["slots"]:
            print_slot(slot)

    session.ask(text, "slots", ids=each("slots", "name"), watch=watch)


def _catalog(catalog: dict[str, Any]) -> None:
    models = output.count(catalog["count"], "model")
    output.say(f"catalog: {models} at commit {catalog['revision'][:12] or '-'}")
    if catalog.get("error"):
        output.say(f"  stale: {catalog['error']}")
    if catalog.get("problems"):
        problems = output.count(catalog["problems"], "problem")
        output.say(f"  {problems} in its files: `model-manager catalog` lists them.")


def print_slot(slot: dict[str, Any]) -> None:
    output.say(f"{slot['name']}: {sentence(slot)}")
    _details(slot, slot["desired"] or {})


def sentence(slot: dict[str, Any]) -> str:
    desired = slot["desired"]
    if desired is None:
        return "empty. Activate a model: `model-manager run ID`."
    if slot["state"] == "active":
        waiting = f", {slot['inFlight']} requests in flight" if slot.get("inFlight") else ""
        return f"{desired['modelId']} is active{waiting}."
    if slot["state"] == "failed":
        return f"{desired['modelId']} failed and nothing serves."
    serving = slot.get("serving")
    beside = f"; {serving} still serves" if serving and serving != desired["modelId"] else ""
    return f"{desired['modelId']} is on its way ({slot['state']}){beside}."


def _details(slot: dict[str, Any], activation: dict[str, Any]) -> None:
    moved_on = "the catalog has a newer version of it" if activation.get("catalogMovedOn") else None
    failure = slot.get("lastFailure") or {}
    if failure.get("id") == activation.get("id"):
        failure = {}  # its reason and hint are the slot's
    output.facts(
        (
            ("  activation", activation.get("id")),
            ("  catalog", activation.get("revision")),
            ("  since", output.ago(activation["phaseAt"]) if activation.get("phaseAt") else None),
            ("  reason", slot.get("reason") or activation.get("reason")),
            ("  hint", activation.get("hint")),
            ("  last failure", _failure(failure) if failure else None),
            ("  its hint", failure.get("hint")),
            ("  note", moved_on),
        )
    )


def _failure(activation: dict[str, Any]) -> str:
    when = output.ago(activation.get("endedAt"))
    return f"{activation['modelId']}, {when}: {activation.get('reason') or 'no reason was given'}"
