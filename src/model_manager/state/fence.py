"""The fencing token: which of several services that each believe it is their turn may write.

A service that was paused does not know that its turn is over. The state does: whoever comes with a greater token shuts
out all before it, and every write looks (M. Kleppmann, "How to do distributed locking", 2016).
"""

import sqlite3

from model_manager.errors import StateError


class Fenced(StateError):
    """Another service has come with token `token`: nothing that this one writes is taken any more."""

    code = "fenced"

    def __init__(self, token: int) -> None:
        super().__init__(
            "Another service has taken over this state: nothing was saved.", "Ask that one.", token=token
        )
        self.token = token


def refuse_overtaken(connection: sqlite3.Connection, token: int) -> None:
    """Raise Fenced when the state has met `token`, or a greater one; one of an older schema has met none."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'fence'").fetchone():
        _refuse(connection, newest=token - 1)


def claim(connection: sqlite3.Connection, token: int) -> None:
    """From now on only `token` may write."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse(connection, newest=token - 1)
        connection.execute("UPDATE fence SET token = ?", (token,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def check(connection: sqlite3.Connection, token: int) -> None:
    """Raise Fenced, in a transaction that writes, when `token` is not the newest any more."""
    _refuse(connection, newest=token)


def _refuse(connection: sqlite3.Connection, newest: int) -> None:
    [found] = connection.execute("SELECT token FROM fence").fetchone()
    if found > newest:
        raise Fenced(found)
