"""`catalog preview` and `catalog validate`: what the service would make of an entry that is in no catalog yet."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from model_manager.cli import output, records
from model_manager.cli.command import Session, answering_command
from model_manager.cli.exit_codes import FAILED, OK, Problem
from model_manager.cli.options import Slot
from model_manager.errors import InvalidRequest

EntryFile = Annotated[Path, typer.Argument(metavar="FILE", help="A catalog entry (JSON).")]

CHECKS: records.Told = (("CHECK", "name"), ("STATUS", "status"), ("MESSAGE", "message"))


def add_to(app: typer.Typer) -> None:
    app.command()(preview)
    app.command()(validate)


@answering_command
def preview(session: Session, file: EntryFile, slot: Slot = None) -> None:
    """Show the InferenceService that an entry's file would become here.

    Example: model-manager catalog preview models/mine.json
    """
    answer = session.client.post("catalog", "preview", payload=_read(file), slot=slot)

    def text() -> None:
        _print_problems(file, answer["validation"], output.note)
        output.say(json.dumps(answer["manifest"], indent=2, ensure_ascii=False))

    session.show(answer, text)


@answering_command
def validate(session: Session, file: EntryFile, slot: Slot = None) -> int:
    """Ask the service whether an entry could be served; exit code 1 if not.

    Example: model-manager catalog validate models/mine.json
    """
    try:
        found = session.client.post("catalog", "validate", payload=_read(file), slot=slot)
    except Problem as error:
        if error.http_status != 400 or "checks" not in (error.answer or ()):
            raise
        found = error.answer

    def text() -> None:
        _print_problems(file, found, output.say)
        records.print_table(CHECKS, found["checks"], "")
        output.note("It could be served." if found["valid"] else "It could not be served as it is.")

    session.show(found, text)
    return OK if found["valid"] else FAILED


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.", "Name a catalog entry.") from error
    except ValueError as error:
        raise InvalidRequest(
            f"{file} is not JSON: {error}.", f"`model-manager catalog check {file}` says where."
        ) from error


def _print_problems(file: Path, validation: dict[str, Any], say: Any) -> None:
    for problem in validation["problems"]:
        field = f"{problem['field']}: " if problem["field"] else ""
        say(f"{file}: {problem['severity']}: {field}{problem['message']}")
