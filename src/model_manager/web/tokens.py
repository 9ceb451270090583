"""`/tokens`: who else may use the service. Administrators issue, list and revoke; everyone may ask for their own."""

from typing import Annotated

from msgspec import Meta, Struct

from model_manager.commands import Parts
from model_manager.errors import Unprocessable
from model_manager.events import timestamp
from model_manager.http.routing import Reply, Request, Route
from model_manager.tokens import Scope, TokenInfo
from model_manager.web.paging import Paged, cursor_after, sequence

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

LONGEST = 10 * 366 * 86400
"""Seconds a token may be good for; leave the expiry out for one that never ends."""

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(?![\s\S])",
        description="A name is up to 63 letters, digits, `.`, `_` and `-`, such as my-app.",
    ),
]
Lifetime = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,9}[smhdw](?![\s\S])",
        description="A number with its unit (s, m, h, d or w), such as 30d.",
        examples=["30d"],
    ),
]
ModelId = Annotated[str, Meta(min_length=1, max_length=512)]


class NewToken(Struct, forbid_unknown_fields=True):
    """`expires` is a time from now, such as `30d` (s, m, h, d or w) or in seconds; left out, the token never expires.

    `models` limits a `chat` token to these ids or names; left out, it may ask every model.
    """

    name: Name
    scope: Scope
    models: Annotated[list[ModelId], Meta(min_length=1, max_length=1000)] | None = None
    expires: Lifetime | Annotated[int, Meta(ge=1, le=LONGEST)] | None = None


class IssuedToken(TokenInfo, rename="camel"):
    """`token` is the secret itself. It is shown here and never again."""

    token: str


class TokenList(Struct, rename="camel"):
    """`next` is the cursor of the following page, null on the last one."""

    tokens: list[TokenInfo]
    next: str | None = None


class CurrentToken(Struct, rename="camel"):
    """Who the request's token stands for. `models` null: all; `expiresAt` null: never."""

    name: str
    scope: Scope
    models: list[str] | None
    expires_at: str | None


async def list_tokens(parts: Parts, query: Paged) -> TokenList:
    """Issued tokens, newest first, without their secrets."""
    found, rest = await parts.tokens.page(query.limit, sequence(query.cursor, "tokens"))
    return TokenList(found, None if rest is None else cursor_after("tokens", rest))


async def create_token(parts: Parts, body: NewToken, request: Request) -> Reply[IssuedToken]:
    """Issue a token. Its secret is in this answer alone: the service keeps only a hash of it."""
    if body.models is not None and body.scope != "chat":
        raise Unprocessable(
            "`models` limits what a token of scope `chat` may ask; this one has another scope.",
            "Leave `models` out, or ask for scope `chat`.",
            field="models",
        )
    if body.name == "current":
        raise Unprocessable("A token cannot be named `current`.", "Choose another name.", field="name")
    created = await parts.tokens.create(
        body.name, body.scope, models=body.models, expires_in=_seconds(body.expires), actor=request.actor
    )
    facts = {name: getattr(created.info, name) for name in TokenInfo.__struct_fields__}
    return Reply(IssuedToken(**facts, token=created.secret), headers={"cache-control": "no-store"})


async def revoke_token(parts: Parts, token: str, request: Request) -> TokenInfo:
    """End a token, named by its id or name: from now on it is refused, and its open streams end."""
    return await parts.tokens.revoke(token, request.actor)


async def current_token(parts: Parts, request: Request) -> CurrentToken:
    """What the token of this request may do; answers every valid token, whatever its scope."""
    who = request.identity
    return CurrentToken(
        who.name,
        who.scope,
        None if who.models is None else sorted(who.models),
        None if who.expires_at is None else timestamp(who.expires_at),
    )


def _seconds(lifetime: str | int | None) -> int | None:
    if not isinstance(lifetime, str):
        return lifetime
    seconds = int(lifetime[:-1]) * SECONDS[lifetime[-1]]
    if not 1 <= seconds <= LONGEST:
        raise Unprocessable(
            "A token can be good for at least a second and at most ten years.",
            "Leave `expires` out for one that never expires.",
            field="expires",
        )
    return seconds


ROUTES = (
    Route("GET", "/tokens", list_tokens),
    Route("POST", "/tokens", create_token, status=201, kept=False),
    Route("GET", "/tokens/current", current_token),
    Route("DELETE", "/tokens/{token}", revoke_token, kept=False),
)
