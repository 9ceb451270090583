"""`chat` and `run`: talk to a model through the gateway, token by token."""

import sys
from typing import Annotated

import typer

from model_manager.cli import completing, output
from model_manager.cli.command import Session, client_command
from model_manager.cli.conversation import Conversation, first_model
from model_manager.cli.options import ModelId, Slot, Timeout
from model_manager.cli.switch import ask_for, finish
from model_manager.errors import InvalidRequest, ModelManagerError

HELP = """\
/clear   forget what was said
/bye     leave (Ctrl-D too)
Ctrl-C   stop an answer
"""

System = Annotated[
    str | None, typer.Option("--system", metavar="TEXT", help="System prompt.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    app.command()(chat)
    app.command()(run)


@client_command
def chat(
    session: Session,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Model to ask; by default the one that serves.",
            autocompletion=completing.models,
        ),
    ] = None,
    system: System = None,
) -> None:
    """Talk to the active model; answers one piped message.

    Example: echo "hello" | model-manager chat
    """
    _converse(session, Conversation(session.client, model or first_model(session.client), system), _piped())


@client_command
def run(
    session: Session,
    model: ModelId,
    prompt: Annotated[list[str] | None, typer.Argument(metavar="[PROMPT]", help="What to ask.")] = None,
    slot: Slot = None,
    system: System = None,
    timeout: Timeout = None,
) -> None:
    """Install, activate and chat in one go.

    Example: model-manager run demo "hello"
    """
    said = " ".join(prompt or []) or _piped()  # before anything is switched for it
    activation = ask_for(session, model, slot)
    finish(session, activation, timeout)
    _converse(session, Conversation(session.client, slot or activation.model_id, system), said)


def _piped() -> str | None:
    """The message on standard input; None when that is a terminal. Raises InvalidRequest."""
    if sys.stdin.isatty():
        return None
    try:
        said = sys.stdin.read().strip()
        said.encode()  # Python may have smuggled foreign bytes through as surrogates
    except UnicodeError as error:
        raise InvalidRequest(
            "The message is not UTF-8 text.", "Convert it first, as `iconv` does."
        ) from error
    if not said:
        raise InvalidRequest(
            "There is no message to answer.", 'Write for example: echo "hello" | model-manager chat'
        )
    return said


def _converse(session: Session, conversation: Conversation, said: str | None) -> None:
    if said is None:
        _talk(session, conversation)
        return
    for piece in conversation.ask(said):
        _write(piece)
    _write("\n")


def _talk(session: Session, conversation: Conversation) -> None:
    """The interactive loop. Ctrl-C stops an answer, and at the prompt it leaves."""
    import readline  # noqa: F401  (gives `input` its line editing and history)

    output.note(f"Talking to {conversation.model}. /help lists the commands, /bye leaves.")
    while True:
        try:
            said = input(">>> ").strip()
        except EOFError:
            output.say()
            return
        if said in ("/bye", "/exit", "/quit"):
            return
        if said == "/clear":
            conversation.clear()
        elif said in ("/help", "/?"):
            output.note(HELP)
        elif said:
            _answer(session, conversation, said)


def _answer(session: Session, conversation: Conversation, said: str) -> None:
    try:
        for piece in conversation.ask(said):
            _write(piece)
    except KeyboardInterrupt:
        output.note("\n(stopped)")
    except ModelManagerError as error:  # the conversation outlives one failed answer
        output.note("")
        session.place.explain(error)
        output.fail(error)
    _write("\n")


def _write(piece: str) -> None:
    sys.stdout.write(output.clean(piece))
    sys.stdout.flush()
