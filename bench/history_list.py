"""How long a page of the history takes with 1,000,000 events.

    python -m bench.history_list [ROWS]

The reference of the same run is the same page from a history of 20,000 events: enough for whole pages.
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

from bench.figures import Figure, figure, report
from model_manager.events import EventLog, timestamp
from model_manager.state.database import Database, Transaction

REFERENCE_ROWS = 20_000
PAGES = 1_000
ACTORS = ("system", "admin")
FIRST_MOMENT = 1_760_000_000
KINDS = ("activation_active", "weight_install_completed", "catalog_refreshed", "weight_install_running")

Ask = Callable[[EventLog, int], Awaitable[Any]]
QUERIES: dict[str, Ask] = {
    "newest": lambda events, seq: events.page(newest_first=True),
    "after": lambda events, seq: events.page(after=seq),
    "before": lambda events, seq: events.page(before=seq, newest_first=True),
    "kind": lambda events, seq: events.page(kind=KINDS[seq % 4], before=seq, newest_first=True),
    "subject": lambda events, seq: events.page(subject=f"model-{seq % 100}", before=seq, newest_first=True),
    "rare kind": lambda events, seq: events.page(kind="state_recovered", newest_first=True),
    "actor": lambda events, seq: events.page(actor=ACTORS[seq % 2], before=seq, newest_first=True),
    "rare actor": lambda events, seq: events.page(actor="token:nobody", newest_first=True),
    "since": lambda events, seq: events.page(since=moment_of(seq), before=seq + 50, newest_first=True),
    "kind and subject": lambda events, seq: events.page(kind=KINDS[seq % 4], subject=f"model-{seq % 100}"),
}


def moment_of(seq: int) -> str:
    """When the event happened: one comes a second."""
    return timestamp(FIRST_MOMENT + seq)


def seed(rows: int) -> Callable[[Transaction], None]:
    data = json.dumps({"modelId": "model", "jobId": "0123456789abcdef", "attempts": 1})

    def write(txn: Transaction) -> None:
        for number in range(rows):
            txn.execute(
                "INSERT INTO events (time, kind, subject, actor, data) VALUES (?, ?, ?, ?, ?)",
                (
                    moment_of(number + 1),
                    KINDS[number * 7 % 4],
                    f"model-{number * 13 % 100}",
                    ACTORS[number % 2],
                    data,
                ),
            )

    return write


async def measure(folder: Path, rows: int) -> dict[str, list[float]]:
    """Milliseconds of each page by query; under `open`, of opening the file."""
    database = await Database.open(folder)
    await database.write(seed(rows))
    await database.aclose()

    started = time.perf_counter()
    database = await Database.open(folder)
    result = {"open": [(time.perf_counter() - started) * 1000]}
    events, chance = EventLog(database), random.Random(1)
    for name, ask in QUERIES.items():
        times = result[name] = []
        for _ in range(PAGES):
            seq = chance.randint(1, rows)
            started = time.perf_counter()
            await ask(events, seq)
            times.append((time.perf_counter() - started) * 1000)
    await database.aclose()
    return result


async def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reference = await measure(Path(folder, "reference"), REFERENCE_ROWS)
        measured = await measure(Path(folder, "measured"), rows)
    other = f"the same of {REFERENCE_ROWS:,} events"
    report([_figure(name, times, reference[name], other, rows) for name, times in measured.items()])


def _figure(name: str, times: list[float], reference: list[float], other: str, rows: int) -> Figure:
    facts = {"events": rows, "p99": round(sorted(times)[len(times) * 99 // 100], 3)}
    title = "opening the state file" if name == "open" else f"page of 100: {name}"
    return figure(title, "ms", times, reference, reference_name=other, facts=facts)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
