"""What every command of the client shares: `--url`, `--debug`, `-o`, and the session it is handed."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model_manager.cli import output

if TYPE_CHECKING:  # imported when a command runs: the help has to be there at once
    from model_manager.cli.client import Client


class Format(StrEnum):
    text = "text"
    json = "json"


Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Address of the service.", show_default=False),
]
Output = Annotated[
    Format,
    typer.Option("--output", "-o", help="`json` prints the API's answer.", show_default=False),
]
LocalOutput = Annotated[
    Format,
    typer.Option("--output", "-o", help="`json` prints one object.", show_default=False),
]
"""For the commands that ask no service."""

Debug = Annotated[
    bool, typer.Option("--debug", help="Show where an unexpected failure came from.", show_default=False)
]


@dataclass(frozen=True)
class Session:
    """One command's conversation with the service."""

    client: "Client"
    json: bool

    def show(self, text: Callable[[Any], None], *path: str, **query: Any) -> None:
        """Read a path and print it: as the API's JSON when that was asked for, else with `text`."""
        body = self.client.body("GET", *path, **query)
        if self.json:
            output.raw_json(body)
        else:
            import json

            text(json.loads(body))

    def tell(self, sentence: str, answer: Any) -> None:
        """Say what was done; when JSON was asked for, print the API's answer to it instead."""
        if self.json:
            output.as_json(answer)
        else:
            output.say(sentence)


def client_command(function: Callable[..., None]) -> Callable[..., None]:
    """A command that talks to the service: takes a `Session` first, and gains the shared options."""
    return _extended(function, answers=False)


def answering_command(function: Callable[..., None]) -> Callable[..., None]:
    """A client command with `-o json`."""
    return _extended(function, answers=True)


def _extended(function: Callable[..., None], *, answers: bool) -> Callable[..., None]:
    @functools.wraps(function)
    def command(*, url: str | None, debug: bool, output: Format = Format.text, **values: Any) -> None:
        from model_manager.cli.address import connect

        function(Session(connect(url), output is Format.json), **values)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [_option("url", Url, None), _option("debug", Debug, False)]
    if answers:
        shared.insert(0, _option("output", Output, Format.text))
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
    # typer reads the signature, and the annotations where the signature is silent.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
