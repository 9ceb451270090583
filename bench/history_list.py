"""How long a page of the history takes with 1,000,000 events: JSON on stdout, milliseconds.

    python bench/history_list.py [ROWS]

The reference of the same run is the same page from a history of 1,000 events.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from model_manager.events import EventLog, timestamp
from model_manager.state.database import Database, Transaction

REFERENCE_ROWS = 1_000
PAGES = 1_000
KINDS = ("activation_active", "weight_install_completed", "catalog_refreshed", "weight_install_running")

Ask = Callable[[EventLog, int], Awaitable[Any]]
QUERIES: dict[str, Ask] = {
    "newest": lambda events, seq: events.page(newest_first=True),
    "after": lambda events, seq: events.page(after=seq),
    "before": lambda events, seq: events.page(before=seq, newest_first=True),
    "kind": lambda events, seq: events.page(kind=KINDS[seq % 4], before=seq, newest_first=True),
    "subject": lambda events, seq: events.page(subject=f"model-{seq % 100}", before=seq, newest_first=True),
    "rare kind": lambda events, seq: events.page(kind="state_recovered", newest_first=True),
    "kind and subject": lambda events, seq: events.page(kind=KINDS[seq % 4], subject=f"model-{seq % 100}"),
}


def seed(rows: int) -> Callable[[Transaction], None]:
    moment = timestamp()
    data = json.dumps({"modelId": "model", "jobId": "0123456789abcdef", "attempts": 1})

    def write(txn: Transaction) -> None:
        for number in range(rows):
            txn.execute(
                "INSERT INTO events (time, kind, subject, actor, data) VALUES (?, ?, ?, 'system', ?)",
                (moment, KINDS[number * 7 % 4], f"model-{number * 13 % 100}", data),
            )

    return write


async def measure(folder: Path, rows: int) -> dict[str, Any]:
    database = await Database.open(folder)
    await database.write(seed(rows))
    await database.aclose()

    started = time.perf_counter()
    database = await Database.open(folder)
    result: dict[str, Any] = {"rows": rows, "open_ms": _ms(time.perf_counter() - started)}
    result["file_mib"] = round(database.path.stat().st_size / 2**20, 1)
    events, chance = EventLog(database), random.Random(1)
    for name, ask in QUERIES.items():
        times = []
        for _ in range(PAGES):
            seq = chance.randint(1, rows)
            started = time.perf_counter()
            await ask(events, seq)
            times.append(time.perf_counter() - started)
        times.sort()
        result[name] = {"p50_ms": _ms(times[PAGES // 2]), "p99_ms": _ms(times[PAGES * 99 // 100])}
    await database.aclose()
    return result


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


async def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reference = await measure(Path(folder, "reference"), REFERENCE_ROWS)
        measured = await measure(Path(folder, "measured"), rows)
    ratios = {name: round(measured[name]["p50_ms"] / reference[name]["p50_ms"], 2) for name in QUERIES}
    print(
        json.dumps({"page": 100, "reference": reference, "measured": measured, "p50_ratio": ratios}, indent=2)
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
