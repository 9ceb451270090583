"""`catalog preview` and `catalog validate`: what the service would make of an entry that is in no catalog yet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from model_manager import client as api
from model_manager.cli import output, records
from model_manager.cli.command import Session, answering_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.cli.options import Slot
from model_manager.errors import InvalidRequest

T = TypeVar("T")

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

    def text(answer: "api.types.Preview") -> None:
        _print_problems(file, answer.validation, output.note)
        output.say(json.dumps(answer.manifest, indent=2, ensure_ascii=False))

    session.ask(text, _about(file, api.calls.preview_entry(id="", slot=slot)))


@answering_command
def validate(session: Session, file: EntryFile, slot: Slot = None) -> int:
    """Ask the service whether an entry could be served; exit code 1 if not.

    Example: model-manager catalog validate models/mine.json
    """

    def text(answer: "api.types.Validation") -> None:
        _print_problems(file, answer, output.say)
        records.print_table(CHECKS, answer.checks, "")
        output.note("It could be served." if answer.valid else "It could not be served as it is.")

    status = session.ask(text, _about(file, api.calls.validate_entry(id="", slot=slot)))
    return OK if status == 200 else FAILED


def _about(file: Path, call: "api.Call[T]") -> "api.Call[T]":
    """The call with the file as it is: what is wrong in it is for the service to say."""
    from msgspec.structs import replace

    return replace(call, payload=_read(file))


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.", "Name a catalog entry.") from error
    except ValueError as error:
        raise InvalidRequest(
            f"{file} is not JSON: {error}.", f"`model-manager catalog check {file}` says where."
        ) from error


def _print_problems(file: Path, validation: "api.types.Validation", say: Callable[[str], None]) -> None:
    for problem in validation.problems:
        field = f"{problem.field}: " if problem.field else ""
        say(f"{file}: {problem.severity}: {field}{problem.message}")
