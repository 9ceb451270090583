"""The commands of `model-manager` by name, and what is said when one is used wrongly."""

import typer

# typer carries its own copy of click and has no public door to these.
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError
from typer.main import get_command

from model_manager.cli import exit_codes, output

HELP = """Decides which AI model is being served, and makes it so.

\b
First steps:
  model-manager quickstart             from nothing to a chat on this machine
  model-manager run demo "hello"       install, activate and ask, in one go
  model-manager status                 what is served now, and why
"""


def build() -> typer.Typer:
    """All commands. Plain help, without rich: it is there in half the time, and reads well in a pipe."""
    from model_manager.cli import (
        activations,
        catalog,
        chat,
        history,
        jobs,
        models,
        serve,
        slots,
        state,
        status,
        weights,
    )

    app = typer.Typer(
        name="model-manager", help=HELP, rich_markup_mode=None, add_completion=False, no_args_is_help=True
    )
    for room in (serve, status, slots, chat):
        room.add_to(app)
    for group in (models, catalog, weights, jobs, activations):
        app.add_typer(group.app)
    history.add_to(app)
    app.add_typer(state.app)
    return app


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. Raises what the command raises, KeyboardInterrupt when a question was left."""
    try:
        result = get_command(build()).main(arguments, prog_name="model-manager", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except ClickException as error:
        _misused(error)
        return exit_codes.USAGE
    return result if isinstance(result, int) else exit_codes.OK


def _misused(error: ClickException) -> None:
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return
    output.note(f"error: {error.format_message()}")
    if isinstance(error, UsageError) and error.ctx:
        output.note(f"  `{error.ctx.command_path} --help` shows how it is used.")
