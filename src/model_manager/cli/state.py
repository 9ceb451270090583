"""`model-manager state`: the state file itself. Works beside a running service and without one."""

from pathlib import Path
from typing import Annotated

import typer

from model_manager.cli import output
from model_manager.cli.command import LocalSession, local_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.settings import load

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


def _folder(state_path: str | None) -> Path:
    folder: Path = load({"state_path": state_path} if state_path else {}).state_path
    return folder
