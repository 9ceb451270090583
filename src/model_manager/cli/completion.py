"""`completion`: the script that lets a shell complete commands, options and ids."""

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from model_manager.cli import output

VARIABLE = "_MODEL_MANAGER_COMPLETE"
"""By this variable of the environment the shell asks the program what could follow; typer knows how."""


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def add_to(app: typer.Typer) -> None:
    app.command()(completion)


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print the completion script of a shell.

    \b
    Example: source <(model-manager completion bash)
    Example: model-manager completion zsh > ~/.zfunc/_model-manager
    Example: model-manager completion fish > ~/.config/fish/completions/model-manager.fish
    """
    output.say(get_completion_script(prog_name="model-manager", complete_var=VARIABLE, shell=shell.value))
