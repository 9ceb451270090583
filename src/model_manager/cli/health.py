"""`health`: whether the service can do its work, for scripts and for people."""

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, answering_command
from model_manager.cli.exit_codes import FAILED, OK


def add_to(app: typer.Typer) -> None:
    app.command()(health)


@answering_command
def health(session: Session) -> int:
    """Ask whether the service can do its work; exit code 1 if not.

    Example: until model-manager health -q; do sleep 1; done
    """

    def text(answer: "api.types.Readiness") -> None:
        output.say(answer.status)
        for reason in answer.reasons:
            output.say(f"  {reason}")

    return OK if session.ask(text, api.calls.readyz()) == 200 else FAILED
