"""The program `model-manager`: where failures become sentences and exit codes."""

import os
import sys
from collections.abc import Sequence

from model_manager.cli import exit_codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (`exit_codes.py`). No stack trace is shown without `--debug`."""
    try:
        return _told(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # so early that even `output` was not there
        return exit_codes.INTERRUPTED


def _told(given: list[str]) -> int:
    from model_manager.cli import output  # here, so that Ctrl-C during the import is no stack trace
    from model_manager.errors import ModelManagerError

    output.write_what_can_be()
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except ModelManagerError as error:
        output.fail(error)
        return exit_codes.exit_code(error)
    except KeyboardInterrupt:
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
    from model_manager.cli import direct

    flags = direct.serve_flags(arguments)
    if flags is not None:
        return direct.serve(flags)
    from model_manager.cli import program  # with typer, which `serve` has no time for

    return program.run(arguments)


def _unexpected(error: Exception) -> int:
    """The last resort: a failure that nobody foresaw still says what happened and what to do."""
    from model_manager.cli import output

    output.note(f"error: something unexpected happened ({type(error).__name__}: {error}).")
    output.note("  This is a fault of Model Manager. Please report it with the command you typed and")
    output.note("  what the same command prints with --debug added.")
    return exit_codes.FAILED
