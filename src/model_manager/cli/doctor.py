"""`doctor`: whether the service has what it needs, and the command that mends what is missing."""

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, answering_command
from model_manager.cli.exit_codes import FAILED, OK


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


@answering_command
def doctor(session: Session) -> int:
    """Look whether the service has what it needs; exit code 1 if not.

    Example: model-manager doctor
    """
    answer = session.client.doctor()
    session.show(answer, lambda: _print(answer))
    return FAILED if answer.status == "fail" else OK


def _print(answer: "api.types.Examination") -> None:
    width = max(len(finding.name) for finding in answer.findings)
    for finding in answer.findings:
        output.say(f"{finding.status:<7}  {finding.name:<{width}}  {finding.sentence}")
        for more in (finding.hint, finding.command) if finding.status != "ok" else ():
            if more:
                output.say(f"{'':<7}  {'':<{width}}  {more}")
    statuses = [finding.status for finding in answer.findings]
    told = [f"{statuses.count(one)} {one}" for one in ("ok", "warn", "fail", "unknown") if one in statuses]
    output.note(f"{', '.join(told)}.")
