"""The commands of `model-manager` by name, and what is said when one is used wrongly."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, cast

import typer

# typer carries its own copy of click and has no public door to these.
from typer._click import Command, Context, HelpFormatter
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption, UsageError
from typer._completion_classes import completion_init
from typer.core import TyperGroup
from typer.main import get_group

from model_manager.cli import exit_codes, output
from model_manager.cli.plain import lighten

HELP = """Decides which AI model is being served, and makes it so.

\b
First steps:
  model-manager quickstart             from nothing to a chat on this machine
  model-manager run demo "hello"       install, activate and ask, in one go
  model-manager status                 what is served now, and why
  model-manager why                    why it is not what you wanted
  model-manager doctor                 what is missing, and what mends it
"""

EPILOG = """\b
Exit codes: 0 done, 1 failed or refused, 2 used wrongly, 3 no answer, 4 token missing or wrong, 5 no such thing,
78 wrong settings, 124 --timeout is over, 130 Ctrl-C.
"""

COMMANDS = {
    "serve": ("serve", "Run the service in the foreground."),
    "quickstart": ("serve", "Go from nothing to a chat on this machine, then keep serving."),
    "status": ("status", "Show what each slot serves, and how the service is."),
    "why": ("why", "Tell why a slot serves what it serves, and what to do next."),
    "doctor": ("doctor", "Look whether the service has what it needs; exit code 1 if not."),
    "run": ("chat", "Install, activate and chat in one go."),
    "chat": ("chat", "Talk to the active model; answers one piped message."),
    "activate": ("switch", "Make a slot serve a model, installing it if needed."),
    "deactivate": ("switch", "Empty a slot; it stays empty over restarts."),
    "forecast": ("forecast", "Tell how long activating a model would take."),
    "logs": ("logs", "Show the log of a slot's model server."),
    "models": ("models", "What the catalog offers; alone, lists it."),
    "catalog": ("catalog", "Where models come from; alone, shows its state."),
    "weights": ("weights", "Installed model files; alone, lists them."),
    "slots": ("slots", "The places that serve a model each; alone, lists them."),
    "activations": ("activations", "Attempts to serve a model; alone, lists them."),
    "jobs": ("jobs", "Long work such as installs; alone, lists it."),
    "history": ("history", "Show what happened, newest first."),
    "events": ("history", "Follow what happens, until Ctrl-C."),
    "metrics": ("metrics", "Show the numbers of the last hours."),
    "health": ("health", "Ask whether the service can do its work; exit code 1 if not."),
    "settings": ("configuration", "Show the service's settings and where each came from."),
    "support-bundle": ("support", "Write what a bug report needs into a zip, without secrets."),
    "token": ("token", "Tokens for people and programs; alone, lists them."),
    "context": ("context", "Several services by name; alone, lists them."),
    "state": ("state", "The service's state file."),
    "completion": ("completion", "Print the completion script of a shell."),
    "version": ("serve", "Print the version."),
}
"""The module of each command, and its summary once more: the help of all needs neither import nor making any."""


PYDANTIC = "Value error, "
"""What it begins its sentences with, which say the same without."""


class Commands(MutableMapping[str, Command]):
    """The commands by name, each made when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = _make(name, COMMANDS[name][0])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __setitem__(self, name: str, command: Command) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]


def _make(name: str, module: str) -> Command:
    """A module holds either a noun's group, or a function that adds single commands."""
    found = import_module(f"model_manager.cli.{module}")
    if hasattr(found, "add_to"):
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        found.add_to(single)
        return lighten(get_group(single).commands[name])
    group = lighten(get_group(found.app))
    for command in group.commands.values():
        lighten(command)
    return group


class Program(TyperGroup):
    """All of `model-manager`. Plain help, without rich: it is there in half the time, and reads well in a pipe."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def build() -> Program:
    # A mapping is what is needed, whatever the signature says.
    commands = cast(dict[str, Command], Commands())
    program = Program(
        name="model-manager",
        commands=commands,
        help=HELP,
        epilog=EPILOG,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    return lighten(program)


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. Raises what the command raises, KeyboardInterrupt when a question was left."""
    completion_init()
    try:
        result: Any = build().main(arguments, prog_name="model-manager", standalone_mode=False)
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
    output.note(f"error: {error.format_message().replace(PYDANTIC, '')}")
    if not (isinstance(error, UsageError) and error.ctx):
        return
    if isinstance(error, NoSuchOption) and error.ctx.parent is None:
        output.note("  Options come after the command, as in `model-manager status --context prod`.")
    output.note(f"  `{error.ctx.command_path} --help` shows how it is used.")
