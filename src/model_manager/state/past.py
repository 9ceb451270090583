"""Rows from before this state began: they have numbers below zero, in the order of their times.

So they come before everything else in every list, whenever they were added, and no number that was told to anybody
is used for something else.
"""

from typing import Final

from model_manager.state.database import Transaction

BEGINNING: Final = -(2**63)
"""Below the number of every row."""

UNPLACED: Final = -(2**40)
"""From here on upwards new rows are put; `place` gives them their numbers."""


def place(txn: Transaction, table: str, time: str) -> None:
    """Number the rows of `table` that are below zero by their times: the latest is -1."""
    # First out of the way: a number must be free when it is given.
    txn.execute(f"UPDATE {table} SET seq = seq - ? WHERE seq < 0", (2 * -UNPLACED,))
    txn.execute(
        f"UPDATE {table} SET seq = -ranked.rank FROM "
        f"(SELECT seq AS before, row_number() OVER (ORDER BY {time} DESC, seq DESC) AS rank FROM {table} WHERE seq < 0)"
        f" AS ranked WHERE {table}.seq = ranked.before"
    )
