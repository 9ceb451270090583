"""`serve` and `quickstart`: the two commands that are the service, with a flag for every setting."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from model_manager import __version__
from model_manager.cli import output
from model_manager.cli.command import Debug, LocalSession, local_command
from model_manager.settings import CLIENT, SETTINGS, Setting, Settings, load

Start = Callable[..., int]

ROWS = tuple(row for row in SETTINGS if row.group != CLIENT)


def add_to(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(quickstart)
    app.command()(version)


def _flag(row: Setting) -> inspect.Parameter:
    default = row.default if row.local is None else row.local
    note = f" [{row.env}{f'; default {default}' if default else ''}]"
    option = typer.Option(row.flag, metavar="VALUE", help=row.help + note, show_default=False)
    return _keyword(row.name, Annotated[str | None, option], None)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML file of `name: value` lines.", show_default=False),
]


def with_settings(function: Start) -> Callable[..., int]:
    """A command that is handed the loaded Settings first, and gains a flag for every row that the service reads."""

    @functools.wraps(function)
    def command(*, config: Path | None, debug: bool, **values: Any) -> int:
        flags = {row.name: values.pop(row.name) for row in ROWS}
        given = {name: value for name, value in flags.items() if value is not None}
        return function(load(given, config=config), **values)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    parameters += [_keyword("config", Config, None), _keyword("debug", Debug, False), *map(_flag, ROWS)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


@with_settings
def serve(settings: Settings) -> int:
    """Run the service in the foreground.

    Example: model-manager serve --catalog-root ./catalog --server-port 8080
    """
    from model_manager import app  # the service itself: only this command pays for importing it

    return app.serve(settings)


@with_settings
def quickstart(
    settings: Settings,
    check: Annotated[
        bool, typer.Option("--check", help="Do it once in a temporary folder, stop everything, and exit.")
    ] = False,
) -> int:
    """Go from nothing to a chat on this machine, then keep serving.

    Example: model-manager quickstart
    """
    from model_manager.cli.quickstart import run

    return run(settings, check)


@local_command()
def version(session: LocalSession) -> None:
    """Print the version.

    Example: model-manager version
    """
    session.show({"version": __version__}, lambda: output.say(f"model-manager {__version__}"))
