"""Issued tokens: created, listed and revoked in the state file, known in memory by their digests.

A token is shown once, when it is created; the state file holds its SHA-256 alone.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from sqlite3 import Connection, Row
from typing import Literal

from msgspec import Struct

from model_manager import logs
from model_manager.errors import Conflict, NotFound, StateError
from model_manager.events import EventLog, timestamp
from model_manager.state.database import Database, Transaction
from model_manager.tokens.failures import Failures
from model_manager.tokens.identity import Identity, Keyring, Scope
from model_manager.tokens.static import TokenFile

log = logging.getLogger(__name__)

PREFIX = "mm_"
"""So that people and secret scanners see what it is."""

LOOK_EVERY = 2.0
"""Seconds between two looks at the static token's file and at what expired: streams outlive their token no longer."""

WRITE_EVERY = 60.0
"""Seconds between two writes of last uses and of failures."""


class TokenInfo(Struct, rename="camel"):
    """An issued token without its secret. `models` null: all of them. Times in ISO 8601, null: never (yet)."""

    id: str
    name: str
    scope: Scope
    models: list[str] | None
    state: Literal["valid", "expired", "revoked"]
    created_at: str
    created_by: str
    expires_at: str | None
    last_used: str | None
    revoked_at: str | None


class Created(Struct):
    """`secret` is the token itself, here and nowhere else."""

    info: TokenInfo
    secret: str


class Tokens:
    """The tokens of a running service. Call `load` before the first request, and keep `run` running."""

    def __init__(
        self,
        database: Database,
        events: EventLog,
        *,
        static: str | None = None,
        file: TokenFile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keyring = Keyring(static, clock)
        self.failures = Failures()
        self._database = database
        self._events = events
        self._file = file
        self._clock = clock
        self._written_at = 0.0

    async def load(self) -> None:
        """Read what was issued before this start."""
        for row in await self._database.read(lambda c: c.execute("SELECT * FROM tokens").fetchall()):
            identity = _identity(row)
            if row["revoked_at"] is not None:
                identity.ended.set()
            self.keyring.add(row["hash"], identity)

    async def create(
        self,
        name: str,
        scope: Scope,
        *,
        models: list[str] | None = None,
        expires_in: float | None = None,
        actor: str,
    ) -> Created:
        """A new token, good at once. `expires_in` in seconds, None: never.

        Raises Conflict while another valid token has the name; that of one that has ended may be given again.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        digest, token_id, now = sha256(secret.encode()).digest(), secrets.token_hex(6), self._clock()
        expires = None if expires_in is None else timestamp(now + expires_in)

        def write(txn: Transaction) -> Row:
            for former in txn.execute("SELECT * FROM tokens WHERE name = ?", (name,)).fetchall():
                self._replace(txn, former)
            txn.execute(
                "INSERT INTO tokens (id, name, scope, models, hash, created_at, created_by, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (token_id, name, scope, _encode(models), digest, timestamp(now), actor, expires),
            )
            data = {"id": token_id, "name": name, "scope": scope, "models": models, "expiresAt": expires}
            self._events.append(txn, "token_created", name, data, actor)
            row = _row(txn, token_id)
            identity = _identity(row)
            txn.after_commit(lambda: self.keyring.add(digest, identity))
            return row

        return Created(self._info(await self._database.write(write)), secret)

    def _replace(self, txn: Transaction, former: Row) -> None:
        if self._state(former) == "valid":
            raise Conflict(
                f"There is a token {former['name']!r} already.", "Revoke it first, or choose another name."
            )
        txn.execute("DELETE FROM tokens WHERE id = ?", (former["id"],))
        txn.after_commit(lambda: self.keyring.forget(former["hash"]))

    async def revoke(self, token: str, actor: str) -> TokenInfo:
        """End a token, named by its id or name, at once; its open streams end too. Revoking twice changes nothing."""

        def write(txn: Transaction) -> Row:
            row = _row(txn, token)
            if row["revoked_at"] is not None:
                return row
            txn.execute(
                "UPDATE tokens SET revoked_at = ? WHERE id = ?", (timestamp(self._clock()), row["id"])
            )
            data = {"id": row["id"], "name": row["name"]}
            self._events.append(txn, "token_revoked", row["name"], data, actor)
            txn.after_commit(lambda: self.keyring.end(row["hash"]))
            return _row(txn, row["id"])

        return self._info(await self._database.write(write))

    async def page(self, limit: int, before: int | None = None) -> tuple[list[TokenInfo], int | None]:
        """The newest first, those older than `before`; and the `before` of the rest, None when there is none."""

        def read(connection: Connection) -> list[Row]:
            sql = "SELECT rowid AS place, * FROM tokens WHERE ? IS NULL OR rowid < ? ORDER BY rowid DESC LIMIT ?"
            return connection.execute(sql, (before, before, limit + 1)).fetchall()

        rows = await self._database.read(read)
        rest = rows[limit - 1]["place"] if len(rows) > limit else None
        return [self._info(row) for row in rows[:limit]], rest

    async def run(self) -> None:
        """Look after what ends by itself, and write down what was seen, off the way of requests."""
        while True:
            for _ in range(int(WRITE_EVERY / LOOK_EVERY)):
                await asyncio.sleep(LOOK_EVERY)
                await self.look()
            await self.write_seen()

    async def look(self) -> None:
        """Whether a token has expired, or the static one's file changed."""
        self.keyring.end_expired()
        if self._file is None:
            return
        token = await asyncio.to_thread(self._file.changed)
        if token is not None:
            logs.register_secret(token)
            self.keyring.set_static(token)
            log.info("the static API token was changed in its file; the former one is not valid any more")

    async def write_seen(self) -> None:
        """Last uses and failed tokens since it was last called, in one transaction; nothing when there were none."""
        now, since = self._clock(), self._written_at
        used = [(d, i.used_at) for d, i in self.keyring.issued() if i.used_at > since]
        refused = self.failures.take()
        if not used and not refused:
            return

        def write(txn: Transaction) -> None:
            for digest, at in used:
                txn.execute("UPDATE tokens SET last_used = ? WHERE hash = ?", (timestamp(at), digest))
            for client, count in refused.items():
                self._events.append(txn, "token_refused", client, {"client": client, "count": count})

        await self._database.write(write)
        self._written_at = now

    async def aclose(self) -> None:
        try:
            await self.write_seen()
        except StateError as error:
            log.warning("last uses of tokens were not saved: %s", error.sentence)

    def _info(self, row: Row) -> TokenInfo:
        known = self.keyring.get(row["hash"])
        used = known.used_at if known else 0.0
        return TokenInfo(
            id=row["id"], name=row["name"], scope=row["scope"], models=_decode(row["models"]),
            state=self._state(row), created_at=row["created_at"], created_by=row["created_by"],
            expires_at=row["expires_at"], last_used=timestamp(used) if used else row["last_used"],
            revoked_at=row["revoked_at"],
        )  # fmt: skip

    def _state(self, row: Row) -> Literal["valid", "expired", "revoked"]:
        if row["revoked_at"] is not None:
            return "revoked"
        expires = _seconds(row["expires_at"])
        return "expired" if expires is not None and expires <= self._clock() else "valid"


def _row(txn: Transaction, token: str) -> Row:
    sql = "SELECT * FROM tokens WHERE id = ? OR name = ? ORDER BY id = ? DESC"
    row: Row | None = txn.execute(sql, (token, token, token)).fetchone()
    if row is None:
        raise NotFound(
            f"There is no token {token[:100]!r}.", "`model-manager token list` (GET /tokens) lists them."
        )
    return row


def _identity(row: Row) -> Identity:
    models = _decode(row["models"])
    return Identity(
        name=f"token:{row['name']}",
        scope=row["scope"],
        models=None if models is None else frozenset(models),
        expires_at=_seconds(row["expires_at"]),
    )


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def _encode(models: list[str] | None) -> str | None:
    return None if models is None else json.dumps(models)


def _decode(models: str | None) -> list[str] | None:
    return None if models is None else list(json.loads(models))
