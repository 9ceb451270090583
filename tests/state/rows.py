"""A table of the state that any test may fill: `catalog_state`, key and value."""

from collections.abc import Callable, Iterable
from typing import Any

from model_manager.state.database import Database, Transaction


def put(*keys: str, value: str = "x") -> Callable[[Transaction], None]:
    def write(txn: Transaction) -> None:
        for key in keys:
            txn.execute("INSERT INTO catalog_state VALUES (?, ?)", (key, value))

    return write


async def keys(database: Database) -> list[str]:
    def read(connection: Any) -> Iterable[Any]:
        return connection.execute("SELECT key FROM catalog_state ORDER BY key").fetchall()

    return [row["key"] for row in await database.read(read)]
