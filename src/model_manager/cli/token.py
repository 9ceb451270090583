"""`model-manager token`: who else may use the service, for what and until when."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, answering_command, listing_command
from model_manager.cli.group import noun
from model_manager.cli.options import Limit
from model_manager.cli.records import created

app = noun("token", "Tokens for people and programs; alone, lists them.")


class Scope(StrEnum):
    admin = "admin"
    read = "read"
    chat = "chat"


def _until(token: dict[str, Any]) -> str:
    return str(token["expiresAt"] or "never")


def _models(token: dict[str, Any]) -> Any:
    return token["models"] or ("all" if token["scope"] == "chat" else None)


COLUMNS: records.Told = (
    ("NAME", "name"), ("SCOPE", "scope"), ("MODELS", _models), ("STATE", "state"), ("EXPIRES", _until),
    ("LAST USED", lambda token: output.ago(token["lastUsed"])), ("CREATED", created), ("BY", "createdBy"),
)  # fmt: skip


@app.command("list")
@listing_command
def list_tokens(session: Session, limit: Limit = 100) -> None:
    """List issued tokens, newest first, without their secrets.

    Example: model-manager token
    """
    records.show_list(
        session, "tokens", of="tokens", told=COLUMNS, key="name", empty="No tokens were issued.", limit=limit
    )


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
    wanted: dict[str, Any] = {"name": name, "scope": scope.value}
    if models is not None:
        wanted["models"] = [one.strip() for one in models.split(",") if one.strip()]
    if expires is not None:
        wanted["expires"] = expires
    issued = session.client.post("tokens", payload=wanted)

    def text() -> None:
        until = f"expires {issued['expiresAt']}" if issued["expiresAt"] else "never expires"
        output.note(f"Token {issued['name']} ({scope}, {until}). Its secret is shown here and never again:")
        output.say(issued["token"])

    session.show(issued, text, lambda: [issued["name"]])


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
    revoked = session.client.delete("tokens", token)
    session.tell(f"Token {revoked['name']} is revoked.", revoked, revoked["name"])


@app.command()
@answering_command
def current(session: Session) -> None:
    """Show whom the service takes you for, and what you may do.

    Example: model-manager token current
    """
    told: records.Told = (("name", "name"), ("scope", "scope"), ("models", _models), ("expires", _until))
    records.show_one(session, "tokens", "current", told=told)
