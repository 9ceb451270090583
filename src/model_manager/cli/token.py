"""`model-manager token`: who else may use the service, for what and until when."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from model_manager import client as api
from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, answering_command, listing_command
from model_manager.cli.group import noun
from model_manager.cli.options import Limit, as_given
from model_manager.cli.records import created

app = noun("token", "Tokens for people and programs; alone, lists them.")


class Scope(StrEnum):
    admin = "admin"
    read = "read"
    chat = "chat"


def _until(token: "api.types.TokenInfo | api.types.CurrentToken") -> str:
    return token.expires_at or "never"


def _models(token: "api.types.TokenInfo | api.types.CurrentToken") -> Any:
    return token.models or ("all" if token.scope == "chat" else None)


COLUMNS: records.Told = (
    ("NAME", "name"), ("SCOPE", "scope"), ("MODELS", _models), ("STATE", "state"), ("EXPIRES", _until),
    ("LAST USED", lambda token: output.ago(token.last_used)), ("CREATED", created), ("BY", "created_by"),
)  # fmt: skip


@app.command("list")
@listing_command
def list_tokens(session: Session, limit: Limit = 100) -> None:
    """List issued tokens, newest first, without their secrets.

    Example: model-manager token
    """
    call = api.calls.list_tokens(limit=limit)
    records.show_list(session, call, "tokens", COLUMNS, "No tokens were issued.", key="name")


@app.command()
@listing_command
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what it is for.")],
    scope: Annotated[
        Scope, typer.Option("--scope", help="`admin` may everything, `read` look, `chat` use the models.")
    ],
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="ID,ID", help="Only these models (scope chat).", show_default=False),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="TIME", help="Such as 12h, 30d or 4w; else never.", show_default=False
        ),
    ] = None,
) -> None:
    """Issue a token; standard output gets its secret, once.

    Example: TOKEN=$(model-manager token create ci --scope chat --expires 30d)
    """
    only = None if models is None else [one.strip() for one in models.split(",") if one.strip()]

    def text(issued: "api.types.IssuedToken") -> None:
        until = f"expires {issued.expires_at}" if issued.expires_at else "never expires"
        output.note(f"Token {issued.name} ({scope}, {until}). Its secret is shown here and never again:")
        output.say(issued.token)

    call = api.calls.create_token(name=name, scope=as_given(scope.value), models=only, expires=expires)
    session.ask(text, call, lambda issued: [issued.name])


@app.command()
@listing_command
def revoke(
    session: Session,
    token: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name or id.", autocompletion=completing.tokens)
    ],
) -> None:
    """End a token at once, and the streams that it opened.

    Example: model-manager token revoke ci
    """
    session.do(
        api.calls.revoke_token(token),
        lambda ended: f"Token {ended.name} is revoked.",
        lambda ended: [ended.name],
    )


@app.command()
@answering_command
def current(session: Session) -> None:
    """Show whom the service takes you for, and what you may do.

    Example: model-manager token current
    """
    told: records.Told = (("name", "name"), ("scope", "scope"), ("models", _models), ("expires", _until))
    records.show_one(session, api.calls.current_token(), told)
