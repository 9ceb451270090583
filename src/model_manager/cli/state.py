"""`model-manager state`: the state file itself. Works beside a running service and without one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from model_manager.cli import output
from model_manager.cli.command import LocalSession, local_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.settings import Settings, load

if TYPE_CHECKING:
    from model_manager.commands import TakenOver

app = typer.Typer(name="state", help="The service's state file.", rich_markup_mode=None, no_args_is_help=True)

Folder = Annotated[
    str | None,
    typer.Option(
        "--state-path", metavar="FOLDER", help="State folder; else STATE_PATH's.", show_default=False
    ),
]


@app.command()
@local_command()
def backup(
    session: LocalSession,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the copy; must not exist.")],
    state_path: Folder = None,
) -> None:
    """Copy the state file, whole and consistent, also while the service runs.

    Example: model-manager state backup ./state-backup.db
    """
    from model_manager.state.backup import backup as copy

    copy(_folder(state_path), file)
    size = file.stat().st_size
    session.tell(f"Wrote {file} ({output.human_size(size)}).", {"file": str(file), "sizeBytes": size})


@app.command()
@local_command()
def check(session: LocalSession, state_path: Folder = None) -> int:
    """Check the state file; exit code 1 when it is damaged.

    Example: model-manager state check
    """
    from model_manager.state.backup import check as problems_in

    folder = _folder(state_path)
    problems = problems_in(folder)
    sentence = "\n".join(problems) or f"The state in {folder} is sound."
    session.show({"path": str(folder), "problems": problems}, lambda: output.say(sentence))
    return FAILED if problems else OK


@app.command("import")
@local_command()
def import_(
    session: LocalSession,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The original's state.db; it is only read.")],
    state_path: Folder = None,
) -> None:
    """Take over jobs and history of the original service (up to 0.4.4), once, whether this one runs or not.

    Example: model-manager state import /app/state/state.bolt.db
    """
    from model_manager.cli.importing import taken_over
    from model_manager.commands.original import read_original

    found = read_original(file)
    done = taken_over(found, file, _settings(state_path))
    answer = {"file": str(file), **msgspec.to_builtins(done), "unreadable": found.unreadable}
    session.show(answer, lambda: _tell_import(file, done, found.unreadable))


def _tell_import(file: Path, done: "TakenOver", unreadable: list[str]) -> None:
    if done.jobs or done.events:
        new = f"{output.count(done.jobs, 'job')} and {output.count(done.events, 'event')}"
        known = f" {done.known} more were here already." if done.known else ""
        output.done(f"Imported {new} from {file}.{known}")
    else:
        output.done(f"There is nothing new in {file}: all {done.known} jobs and events are here already.")
    if unreadable:
        output.note(f"Left out, as none of the original's records: {', '.join(unreadable)}.")


def _settings(state_path: str | None) -> Settings:
    return load({"state_path": state_path} if state_path else {})


def _folder(state_path: str | None) -> Path:
    folder: Path = _settings(state_path).state_path
    return folder
