"""`Idempotency-Key`: a request that is sent again is answered again, and not done again.

A client that got no answer cannot know whether its request was carried out. With a key it may just ask once more: the
same key and request get the answer that was kept, in the state file, so also after a restart. As in
draft-ietf-httpapi-idempotency-key-header, another request under the same key is refused, and so is the same one
while the first is still being answered.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from sqlite3 import Row
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope

from model_manager.errors import ActivationFailed, Conflict, StateError, Unprocessable
from model_manager.events import timestamp
from model_manager.http.parsing import header, read_body
from model_manager.http.problems import problem_response
from model_manager.state.database import Database, Transaction

log = logging.getLogger(__name__)

METHODS = frozenset({"POST", "PUT", "DELETE"})

KEEP = 24 * 3600
"""Seconds."""

PATTERN = r"[A-Za-z0-9._:-]{1,128}"

_KEY = re.compile(PATTERN)

Answer = Callable[[Scope, Receive], Awaitable[Response]]


class Answers:
    """The answers that are kept, each for who asked and their key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def once(self, scope: Scope, receive: Receive, answer: Answer) -> Response:
        """The kept answer to this request, else that of `answer`, which is kept if it is JSON.

        Only what was done is kept, refusals are not: they changed nothing, and may be worth another try.
        Raises Unprocessable (no key, or another request's) or Conflict (the first is still under way).
        """
        key = header(scope, b"idempotency-key")
        if key is None:
            return await answer(scope, receive)
        if not _KEY.fullmatch(key):
            raise Unprocessable(
                f"Idempotency-Key {key[:40]!r} is not 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-'."
            )
        body = await read_body(scope, receive)
        who = scope["state"]["identity"].name, key
        kept = await self._database.write(lambda txn: _claim(txn, *who, _digest(scope, body)))
        if kept is not None:
            return kept
        return await self._first(scope, _again(body, receive), answer, who)

    async def _first(self, scope: Scope, receive: Receive, answer: Answer, who: tuple[str, str]) -> Response:
        response: Response | None = None
        try:
            try:
                response = await answer(scope, receive)
            except ActivationFailed as error:  # it was done, and this is how it ended
                response = problem_response(error, quote(scope["path"][:200]), scope["state"]["request_id"])
        finally:
            await self._settle(who, response)
        return response

    async def _settle(self, who: tuple[str, str], response: Response | None) -> None:
        """Keep the answer, or free the key. A service that is stopping frees it at its next start."""
        values = None if response is None else _kept(response)
        try:
            await self._database.write(lambda txn: _keep(txn, *who, values))
        except StateError as error:
            log.warning("an answer could not be kept for its Idempotency-Key: %s", error.sentence)


def free_unfinished(txn: Transaction) -> None:
    """At a start: whoever was answering has died, and what it had not done yet may be asked for again."""
    txn.execute("DELETE FROM answers WHERE status IS NULL")


def prune(txn: Transaction) -> None:
    """Forget answers that nobody will ask for again."""
    txn.execute("DELETE FROM answers WHERE created_at < ?", (timestamp(time.time() - KEEP),))


def _claim(txn: Transaction, actor: str, key: str, request: str) -> Response | None:
    """Take the key for this request, or give the answer that is kept under it."""
    taken = txn.execute(
        "INSERT INTO answers (actor, key, request, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (actor, key, request, timestamp()),
    )
    if taken.rowcount:
        return None
    row: Row = txn.execute("SELECT * FROM answers WHERE actor = ? AND key = ?", (actor, key)).fetchone()
    if row["request"] != request:
        raise Unprocessable(
            "This Idempotency-Key was used for another request.", "Take a new key for each new request."
        )
    if row["status"] is None:
        raise Conflict(
            "The first request with this Idempotency-Key is still being answered.",
            "Ask again in a second.",
            retry_after=1,
        )
    headers = msgspec.json.decode(row["headers"], type=dict[str, str])
    return Response(row["body"], row["status"], {**headers, "idempotent-replayed": "true"})


def _keep(txn: Transaction, actor: str, key: str, values: tuple[int, str, bytes] | None) -> None:
    if values is None:
        txn.execute("DELETE FROM answers WHERE actor = ? AND key = ?", (actor, key))
    else:
        txn.execute(
            "UPDATE answers SET status = ?, headers = ?, body = ? WHERE actor = ? AND key = ?",
            (*values, actor, key),
        )


def _kept(response: Response) -> tuple[int, str, bytes] | None:
    """Status, headers and body, or None for what is no JSON or has no end yet."""
    body: Any = getattr(response, "body", None)
    if "json" not in response.headers.get("content-type", "") or not isinstance(body, bytes):
        return None
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return response.status_code, msgspec.json.encode(headers).decode(), body


def _digest(scope: Scope, body: bytes) -> str:
    parts = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], body)
    return sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body once more, and then what really comes."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay
