"""The last good version of every entry, kept in the state file, so that a broken commit takes nothing away."""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from msgspec import Struct

from model_manager.catalog.files import hash_of
from model_manager.catalog.parse import parse
from model_manager.catalog.snapshot import CatalogItem
from model_manager.state.database import Database, Transaction


class Good(Struct, frozen=True, gc=False):
    """Which bytes of an entry were the last good ones: the file, its digest, the revision that first had them."""

    id: str
    file: str
    revision: str
    digest: str


async def index(database: Database) -> dict[str, Good]:
    """All that is kept, by id, without the bytes."""
    query = "SELECT id, file, revision, hash FROM catalog_last_good"
    return await database.read(lambda connection: {row[0]: Good(*row) for row in connection.execute(query)})


async def items(database: Database, ids: Iterable[str] | None = None) -> dict[str, CatalogItem]:
    """The kept versions of these ids (None: of all), each marked stale; parsed in the reader's thread.

    Bytes that this version of the parser no longer takes are left out.
    """
    wanted = None if ids is None else set(ids)

    def read(connection: Connection) -> list[tuple[str, str, bytes]]:
        query = "SELECT file, revision, bytes FROM catalog_last_good"
        if wanted is None:
            return [tuple(row) for row in connection.execute(query)]
        query += " WHERE id = ?"
        return [tuple(row) for id_ in wanted for row in connection.execute(query, (id_,))]

    found = {}
    for file, revision, data in await database.read(read):
        entry, _ = parse(data, file)
        if entry:
            found[entry.id] = CatalogItem(entry, file, hash_of(entry), revision, stale=True)
    return found


def save(txn: Transaction, changed: Sequence[tuple[Good, bytes]], removed: Sequence[str]) -> None:
    """Keep these versions and forget those ids."""
    for good, data in changed:
        txn.execute(
            "INSERT OR REPLACE INTO catalog_last_good (id, file, revision, hash, bytes) VALUES (?, ?, ?, ?, ?)",
            (good.id, good.file, good.revision, good.digest, data),
        )
    for id_ in removed:
        txn.execute("DELETE FROM catalog_last_good WHERE id = ?", (id_,))


async def get_state(database: Database, key: str) -> str | None:
    """A remembered value of the catalog, such as the revision last served."""

    def read(connection: Connection) -> str | None:
        row = connection.execute("SELECT value FROM catalog_state WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    return await database.read(read)


def put_state(txn: Transaction, key: str, value: str) -> None:
    """Remember a value of the catalog."""
    txn.execute("INSERT OR REPLACE INTO catalog_state (key, value) VALUES (?, ?)", (key, value))
