"""What commands share: the options that every one of them has, and the session each is handed."""

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.completing import context_names
from model_manager.cli.output import Color, look
from model_manager.errors import ModelManagerError

if TYPE_CHECKING:  # imported when a command runs: the help has to be there at once
    from model_manager.cli.address import Place

T = TypeVar("T")


class Format(StrEnum):
    text = "text"
    json = "json"
    yaml = "yaml"


class ListFormat(StrEnum):
    """The formats of commands that speak of things with an id. Its words are `Format`'s, and one more."""

    text = "text"
    json = "json"
    yaml = "yaml"
    name = "name"


Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the service.", show_default=False)
]
ContextName = Annotated[
    str | None,
    typer.Option(
        "--context", "-c", metavar="NAME", help="Service by its name among the contexts.", show_default=False,
        autocompletion=context_names,
    ),
]  # fmt: skip
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors alone.", show_default=False)
]
ColorChoice = Annotated[
    Color, typer.Option("--color", help="`auto` is a terminal's, unless NO_COLOR is set.", show_default=False)
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show where an unexpected failure came from.", show_default=False)
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again whenever something happens.")]


@dataclass(frozen=True)
class LocalSession:
    """What a command that asks no service shows things with."""

    form: str

    def show(self, value: Any, text: Callable[[], None], ids: Callable[[], Iterable[str]] = tuple) -> None:
        """A value as it was asked for: as JSON, as YAML, its ids, or in the words of `text`."""
        if self.form == Format.json:
            output.as_json(value)
        elif self.form == Format.yaml:
            output.as_yaml(value)
        elif self.form == ListFormat.name:
            for one in ids():
                output.say(one)
        else:
            text()

    def tell(self, sentence: str, answer: Any, *ids: str) -> None:
        """Say what was done; or the answer to it, or the id of what it was done to, as was asked for."""
        self.show(answer, lambda: output.done(sentence), lambda: ids)


@dataclass(frozen=True)
class Session(LocalSession):
    """One command's conversation with the service at `place`."""

    client: "api.Client"
    place: "Place"

    def ask(
        self, text: Callable[[T], None], call: "api.Call[T]", ids: Callable[[T], Iterable[str]] = lambda _: (),
        watch: bool = False,
    ) -> int:  # fmt: skip
        """Make a call and print its answer: the API's own JSON where that was asked for; again and again with `watch`.

        Returns the answer's HTTP status.
        """

        def draw() -> int:
            status, body = self.client.raw(call)
            if self.form in (Format.json, Format.yaml):
                plain = call.untyped.answer(status, body, self.client.url)
                output.raw_json(body) if self.form == Format.json else output.as_yaml(plain)
            else:
                answer = call.answer(status, body, self.client.url)
                self.show(answer, lambda: text(answer), lambda: ids(answer))
            return status

        if watch:
            from model_manager.cli.watching import watch as again

            again(self.client, draw)
        return draw()

    def do(
        self, call: "api.Call[T]", sentence: Callable[[T], str], ids: Callable[[T], Iterable[str]]
    ) -> None:
        """Make a call that changes something, and say what was done."""
        self.ask(lambda answer: output.done(sentence(answer)), call, ids)


def each(of: str, key: str = "id") -> Callable[[Any], list[str]]:
    """The ids in an answer whose list is called `of`."""
    return lambda answer: [getattr(one, key) for one in getattr(answer, of)]


def client_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command that talks to the service: takes a `Session` first, and gains the shared options."""
    return _asking(function, None)


def answering_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """A client command with `-o`."""
    return _asking(function, Format)


def listing_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """A client command with `-o` about things that have ids."""
    return _asking(function, ListFormat)


def local_command(*, names: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command that asks no service: takes a `LocalSession` first; with `names` its things can be listed by name."""

    def extended(function: Callable[..., Any]) -> Callable[..., Any]:
        def start(form: str, values: dict[str, Any]) -> Any:
            return function(LocalSession(form), **values)

        return _extended(function, start, [_form(ListFormat if names else Format, "one object")])

    return extended


def _asking(function: Callable[..., Any], formats: type[StrEnum] | None) -> Callable[..., Any]:
    def start(form: str, values: dict[str, Any]) -> Any:
        from model_manager.cli.address import find

        place = find(values.pop("url"), values.pop("context"))
        session = Session(form, api.Client(place.url, place.token), place)
        try:
            return function(session, **values)
        except ModelManagerError as error:
            place.explain(error)
            raise

    options = [_form(formats, "the API's answer")] if formats else []
    return _extended(
        function, start, [*options, _option("url", Url, None), _option("context", ContextName, None)]
    )


def _form(formats: type[StrEnum], what: str) -> inspect.Parameter:
    names = ", `name` only ids, one a line" if formats is ListFormat else ""
    told = f"`json` and `yaml` print {what}{names}."
    option = typer.Option("--output", "-o", help=told, show_default=False)
    return _option("output", Annotated[formats, option], formats("text"))


def _extended(
    function: Callable[..., Any],
    start: Callable[[str, dict[str, Any]], Any],
    options: list[inspect.Parameter],
) -> Callable[..., Any]:
    """A command with more options than its function has; `start` is given the format and the function's own values."""

    @functools.wraps(function)
    def command(*, quiet: bool, color: Color, debug: bool, output: str = Format.text, **values: Any) -> Any:
        look.color, look.quiet = color, quiet
        return start(output, values)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    shared = [
        *options, _option("quiet", Quiet, False), _option("color", ColorChoice, Color.auto),
        _option("debug", Debug, False),
    ]  # fmt: skip
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
    # typer reads the signature, and the annotations where the signature is silent.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
