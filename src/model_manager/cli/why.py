"""`why`: one cause, one next step, what they were read from, and how it came about; as the API tells it."""

from pathlib import PurePosixPath
from typing import Annotated, Any

import typer

from model_manager import client as api
from model_manager.cli import completing, evidence, output, records
from model_manager.cli.activations import state_of
from model_manager.cli.command import Session, answering_command
from model_manager.cli.logs import first_slot
from model_manager.cli.status import sentence
from model_manager.cli.timeline import Step, timeline
from model_manager.cli.waiting import progress_text, subject

WELL = frozenset({"serving", "empty"})
"""Codes of a slot with nothing to look into."""

EVENTS = 1000
"""Of the slot's history: an attempt has about ten, but a slot that is switched for an hour has many attempts."""


def add_to(app: typer.Typer) -> None:
    app.command()(why)


@answering_command
def why(
    session: Session,
    slot: Annotated[
        str | None,
        typer.Argument(
            metavar="[SLOT]", help="Slot to look at; by default the first.", autocompletion=completing.slots
        ),
    ] = None,
) -> None:
    """Tell why a slot serves what it serves, and what to do next.

    Example: model-manager why
    """
    found = explain(session, slot or first_slot(session))
    session.show(found, lambda: _print(found))


def explain(session: Session, name: str) -> dict[str, Any]:
    """The cause as the service tells it, and how the slot came there."""
    client = session.client
    why = client.why_slot(name)
    slot = client.get_slot(name)
    attempt = slot.last_failure or slot.desired
    if attempt is None:
        return {"why": why, "slot": slot, "timeline": [], "job": None, "catalogProblems": []}
    events = client.get_history(subject=name, limit=EVENTS).events
    problems = client.catalog_problems().problems
    return {
        "why": why,
        "slot": slot,
        "timeline": [step._asdict() for step in timeline(events, attempt.id)],
        "job": _weights_job(session, attempt),
        "catalogProblems": [one for one in problems if _is_about(one, attempt.model_id)],
    }


def _weights_job(session: Session, attempt: "api.types.Activation") -> "api.types.JobView | None":
    """The job that the attempt waits for or failed of; one that brought the weights explains nothing."""
    if not attempt.job_id:
        return None
    try:
        job = session.client.get_job(attempt.job_id)
    except api.ApiError as error:
        if error.http_status == 404:  # it was long ago
            return None
        raise
    return None if job.status == "completed" else job


def _is_about(problem: "api.types.Problem", model: str) -> bool:
    """A problem knows its file alone, and an entry's file is called as the entry is (a rule of the catalog's)."""
    return PurePosixPath(problem.file).stem == model


FAILURE: records.Told = (
    ("exit code", "exit_code"), ("catalog", "revision"), ("asked by", "actor"),
    ("ended", lambda a: output.ago(a.ended_at)),
)  # fmt: skip
JOB: records.Told = (
    ("job", "id"), ("on", subject), ("status", "status"), ("progress", progress_text), ("error", "error"),
    ("hint", "hint"),
)  # fmt: skip


def _print(found: dict[str, Any]) -> None:
    slot, why = found["slot"], found["why"]
    output.say(f"{slot.name}: {sentence(slot)}")
    output.facts(
        (
            ("  cause", f"{why.cause} ({why.code})"),
            ("  next", why.next),
            ("  desired", _attempt(slot.desired)),
            ("  serving", slot.serving or "nothing"),
        )
    )
    if failure := slot.last_failure:
        output.say(f"\n{failure.model_id} failed (activation {failure.id}):")
        records.print_facts(FAILURE, failure, "  ")
    _print_seen(why)
    if why.drift:
        output.say("\nChanged by others:")
        for one in why.drift:
            output.say(f"  {one.field} by {one.by or 'somebody else'}: {one.wanted!r} is {one.found!r} now")
    if found["timeline"]:
        output.say("\nHow it went:")
        for step in found["timeline"]:
            output.say("  " + str(Step(**step)))
    if found["job"]:
        output.say("\nIts weights:")
        records.print_facts(JOB, found["job"], "  ")
    if found["catalogProblems"]:
        output.say("\nIn the catalog:")
        for problem in found["catalogProblems"]:
            output.say(f"  {problem.file}:{problem.line}: {problem.severity}: {problem.message}")


def _print_seen(why: "api.types.Why") -> None:
    lines = [f"  {line}" for line in evidence.lines(why.evidence)] + [f"  | {line}" for line in why.log]
    if lines and why.code not in WELL:
        output.say("\nSeen:")
        for line in lines:
            output.say(line)


def _attempt(activation: "api.types.Activation | None") -> str:
    if activation is None:
        return "nothing"
    since = output.ago(activation.phase_at)
    return f"{activation.model_id} (activation {activation.id}: {state_of(activation)}, {since})"
