"""The program `model-manager`: its commands by name, and the one place where failures become exit codes."""

import os
import sys
from collections.abc import Sequence

import typer

# typer carries its own copy of click and has no public door to these.
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from model_manager.cli import exit_codes, output
from model_manager.errors import ModelManagerError

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (`exit_codes.py`). No stack trace is shown without `--debug`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except ModelManagerError as error:
        output.fail(error)
        return exit_codes.exit_code(error)
    except (KeyboardInterrupt, typer.Abort):
        output.note("")
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has seen enough (`| head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.FAILED
    except Exception as error:
        if "--debug" in given:
            raise
        return _unexpected(error)


def _run(arguments: list[str]) -> int:
    from typer.main import get_command

    try:
        result = get_command(build()).main(arguments, prog_name="model-manager", standalone_mode=False)
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


def _unexpected(error: Exception) -> int:
    """The last resort: a failure that nobody foresaw still says what happened and what to do."""
    output.note(f"error: something unexpected happened ({type(error).__name__}: {error}).")
    output.note("  This is a fault of Model Manager. Please report it with the command you typed and")
    output.note("  what the same command prints with --debug added.")
    return exit_codes.FAILED
