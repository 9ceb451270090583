"""`/catalog/webhook`: a Git host says that something was pushed, and the catalog is looked at without delay.

GitHub and Gitea (Forgejo) sign the body with HMAC-SHA256, GitLab sends the secret itself; where the facts come from:
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
https://docs.gitlab.com/user/project/integrations/webhooks/#validate-payloads-by-using-a-secret-token
https://forgejo.org/docs/latest/user/webhooks/
"""

import asyncio
import hmac
import logging
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Literal
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from model_manager.commands import Parts
from model_manager.errors import (
    InvalidRequest,
    NotOffered,
    SettingsError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from model_manager.http.routing import Reply, Request, Route

log = logging.getLogger(__name__)

Host = Literal["github", "gitea", "gitlab"]

_EVENT_HEADERS: dict[Host, str] = {
    "gitea": "x-gitea-event",  # first: it sends GitHub's headers too
    "github": "x-github-event",
    "gitlab": "x-gitlab-event",
}
_PUSHES = frozenset({"push", "Push Hook", "Tag Push Hook"})
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class Received(Struct, rename="camel"):
    """`accepted`: the catalog is being looked at; `ignored` and `pong`: there was nothing to look for."""

    status: Literal["accepted", "ignored", "pong"]
    message: str


class Repository(Struct, frozen=True):
    default_branch: str | None = None


class Push(Struct, frozen=True):
    """What we read of a push: its ref, and the branch that `HEAD` means (GitLab calls the repository `project`)."""

    ref: str = ""
    repository: Repository = Repository()
    project: Repository = Repository()

    @property
    def default_branch(self) -> str | None:
        return self.repository.default_branch or self.project.default_branch


async def catalog_webhook(parts: Parts, raw: bytes, request: Request) -> Reply[Received]:
    """Tell that something was pushed, as GitHub, GitLab, Gitea and Forgejo do.

    The request must be signed with (GitHub, Gitea, Forgejo: `X-Hub-Signature-256` or `X-Gitea-Signature`) or carry
    (GitLab: `X-Gitlab-Token`) the secret in the setting `webhook_secret`. The answer does not wait for the catalog.
    """
    _check_patience(parts, request)
    if not signed(raw, await _secret(parts), request):
        raise _refused(parts, request)
    host, event = _sender(request)
    if event == "ping":
        return Reply(Received("pong", "The webhook is set up."), 200)
    if event not in _PUSHES:
        return Reply(Received("ignored", f"Only pushes matter here, not {event[:40]!r}."))
    push = _push(raw, request)
    if not concerns(push, parts.webhook.ref):
        followed = parts.webhook.ref
        return Reply(Received("ignored", f"{push.ref[:100]!r} is not what the catalog follows ({followed})."))
    parts.catalog.refresh_soon(f"webhook:{host}")
    return Reply(Received("accepted", "The catalog is being looked at."))


def concerns(push: Push, followed: str | None) -> bool:
    """Whether a push can have moved what the catalog follows: a branch, a tag, `HEAD`, a commit (which never moves).

    None: the catalog is a folder, and what its keeper follows is not known here.
    """
    if not followed or not push.ref:
        return True
    if followed == "HEAD":
        return push.default_branch is None or push.ref == f"refs/heads/{push.default_branch}"
    if _COMMIT.fullmatch(followed):
        return False
    return push.ref in (followed, f"refs/heads/{followed}", f"refs/tags/{followed}")


def signed(raw: bytes, secret: bytes, request: Request) -> bool:
    """Whether the request is signed with the secret. Every signature that is there must be right, and one must be."""
    checks = list(_checks(raw, secret, request))
    return bool(checks) and all(checks)


def _checks(raw: bytes, secret: bytes, request: Request) -> Iterator[bool]:
    digest = hmac.digest(secret, raw, sha256).hex()
    for header, expected in (("x-hub-signature-256", f"sha256={digest}"), ("x-gitea-signature", digest)):
        if (told := request.header(header)) is not None:
            yield hmac.compare_digest(told.encode("latin-1"), expected.encode())
    if (told := request.header("x-gitlab-token")) is not None:
        # Hashed first: comparing secrets of different lengths would tell how long ours is.
        yield hmac.compare_digest(sha256(told.encode("latin-1")).digest(), sha256(secret).digest())


async def _secret(parts: Parts) -> bytes:
    try:
        secret = await asyncio.to_thread(parts.webhook.secret)
    except SettingsError as error:  # who asks here is a stranger: where the secret lies is not for them
        log.error("%s", error.sentence)
        raise Unavailable("The webhook's secret cannot be read.", "The service's log says why.") from error
    if secret is None:
        raise NotOffered(
            "This service takes no webhooks: it has no secret to check them with.",
            "Set MODEL_MANAGER_WEBHOOK_SECRET or MODEL_MANAGER_WEBHOOK_SECRET_FILE.",
            setting="webhook_secret",
        )
    return secret.encode()


def _check_patience(parts: Parts, request: Request) -> None:
    """Who guesses at the secret is stopped as one who guesses at tokens, and by the same count."""
    if seconds := parts.tokens.failures.seconds_blocked(_client(request)):
        raise TooManyRequests(
            "Too many wrong tokens or signatures came from this address.",
            f"Wait {seconds} s, and check the secret meanwhile.",
            retry_after=seconds,
        )


def _refused(parts: Parts, request: Request) -> Unauthorized:
    client = _client(request)
    if parts.tokens.failures.failed(client):
        log.warning("%s sent too many webhooks with a wrong signature", client)
    return Unauthorized(
        "The webhook is not signed with the right secret.",
        "Give the webhook at the Git host the secret that MODEL_MANAGER_WEBHOOK_SECRET holds.",
    )


def _client(request: Request) -> str:
    client = request.scope.get("client")
    return str(client[0]) if client else ""


def _sender(request: Request) -> tuple[Host, str]:
    """Which kind of host sent this, and the name of its event."""
    for host, header in _EVENT_HEADERS.items():
        if event := request.header(header):
            return host, event
    raise InvalidRequest(
        "The webhook names no event.", "It comes with X-GitHub-Event, X-Gitlab-Event or X-Gitea-Event."
    )


def _push(raw: bytes, request: Request) -> Push:
    """The payload; GitHub sends it as a form unless told otherwise."""
    if (request.header("content-type") or "").startswith("application/x-www-form-urlencoded"):
        raw = parse_qs(raw.decode("latin-1"), max_num_fields=10).get("payload", [""])[0].encode()
    try:
        return msgspec.json.decode(raw, type=Push)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidRequest(
            "The webhook's body is not a push as JSON.", "Choose application/json as its content type."
        ) from error


ROUTES = (Route("POST", "/catalog/webhook", catalog_webhook, status=202, also={200: Received}, kept=False),)
