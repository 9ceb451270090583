"""`health`: whether the service can do its work, for scripts and for people."""

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, answering_command


def add_to(app: typer.Typer) -> None:
    app.command()(health)


@answering_command
def health(session: Session) -> None:
    """Ask whether the service can do its work; exit code 1 if not.

    Example: until model-manager health -q; do sleep 1; done
    """
    session.ask(lambda answer: output.say(answer["status"]), "readyz")
