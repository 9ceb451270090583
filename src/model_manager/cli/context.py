"""`model-manager context`: several services by name, one of them in use."""

import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_manager.cli import output
from model_manager.cli.command import LocalSession, local_command
from model_manager.cli.completing import context_names
from model_manager.cli.group import noun
from model_manager.errors import InvalidRequest

if TYPE_CHECKING:
    from model_manager.cli.contexts import Context, Contexts

app = noun("context", "Several services by name; alone, lists them.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a context.", autocompletion=context_names)]


@app.command("list")
@local_command(names=True)
def list_contexts(session: LocalSession) -> None:
    """List the contexts; the one in use has a star.

    Example: model-manager context
    """
    contexts = _contexts()
    rows = [
        {"name": one.name, "url": one.url, "tokenFile": _file(one), "inUse": one.name == contexts.current}
        for one in contexts
    ]
    local = {"name": "local", "url": None, "tokenFile": None, "inUse": contexts.current == "local"}

    def text() -> None:
        cells = [
            (
                "*" if row["inUse"] else "",
                row["name"],
                row["url"] or "the service of this machine",
                row["tokenFile"],
            )
            for row in [local, *rows]
        ]
        output.table(("IN USE", "NAME", "URL", "TOKEN FILE"), cells, "")

    session.show({"contexts": [local, *rows]}, text, lambda: ["local", *(one.name for one in contexts)])


@app.command()
@local_command()
def show(
    session: LocalSession,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="By default the one in use.", autocompletion=context_names),
    ] = None,
) -> None:
    """Show one context; the token itself stays in its file.

    Example: model-manager context show prod
    """
    contexts = _contexts()
    name = name or contexts.current
    if name == "local":
        facts = {"name": name, "url": None, "tokenFile": None}
    else:
        found = contexts.get(name)
        facts = {"name": name, "url": found.url, "tokenFile": _file(found)}
    shown = (
        ("name", name),
        ("url", facts["url"] or "the service of this machine"),
        ("token file", facts["tokenFile"]),
    )
    session.show(facts, lambda: output.facts(shown))


@app.command()
@local_command()
def add(
    session: LocalSession,
    name: Annotated[str, typer.Argument(metavar="NAME", help="How to call the service.")],
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Its address.")],
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="File that holds its token.", show_default=False),
    ] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read its token from standard input, and keep it.")
    ] = False,
) -> None:
    """Remember a service by name; its token goes to its address only.

    Example: model-manager context add prod --url https://models.example --token-file ./token
    """
    if token_file and token_stdin:
        raise InvalidRequest("--token-file and --token-stdin each give a token.", "Give one of them.")
    token = _from_stdin() if token_stdin else None
    file = token_file.expanduser().absolute() if token_file else None
    added = _contexts().add(name, url, token=token, token_file=file)
    _warn(added)
    facts = {"name": name, "url": added.url, "tokenFile": _file(added)}
    session.tell(f"Added {name}; `model-manager context use {name}` makes it the one in use.", facts)


@app.command()
@local_command()
def use(session: LocalSession, name: Name) -> None:
    """Let commands talk to this service; `local` is this machine's.

    Example: model-manager context use prod
    """
    _contexts().use(name)
    session.tell(f"Commands talk to {name} now.", {"current": name})


@app.command()
@local_command()
def remove(session: LocalSession, name: Name) -> None:
    """Forget a service, and its token where that was kept here.

    Example: model-manager context remove prod
    """
    contexts = _contexts()
    contexts.remove(name)
    session.tell(f"Removed {name}.", {"removed": name, "current": contexts.current})


def _contexts() -> "Contexts":
    from model_manager.cli.contexts import Contexts
    from model_manager.settings import config_home

    return Contexts(config_home())


def _file(context: "Context") -> str | None:
    return str(context.token_file) if context.token_file else None


def _from_stdin() -> str:
    if sys.stdin.isatty():
        import getpass

        token = getpass.getpass("Token: ").strip()
    else:
        token = sys.stdin.readline().strip()
    if not token:
        raise InvalidRequest("Standard input holds no token.", "For example: `… --token-stdin < file`.")
    return token


def _warn(context: "Context") -> None:
    """What is allowed and yet worth a word: a token that others can read, on the disk or on the wire."""
    if context.token_file is None:
        return
    if context.token_file.exists() and stat.S_IMODE(context.token_file.stat().st_mode) & 0o077:
        output.note(f"Others on this machine may read {context.token_file}: chmod 600 keeps it yours.")
    from model_manager.cli.address import is_loopback

    if context.url.startswith("http://") and not is_loopback(context.url):
        output.note(f"{context.url} is not encrypted: the token can be read on its way there.")
