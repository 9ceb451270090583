"""What many readers of the live feed cost the service: memory, and time for each event that each of them gets.

    python -m bench.subscribers [--subscribers 1000] [--events 50] [--rounds 3]

The program itself, with its port's protocol, its token check and its state file. A stalled reader is among them: it
reads nothing after its head. Memory is the growth of the service's resident size from its start, after all events.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import uvloop

from bench.figures import Figure, figure, report
from bench.start import free_port, memory_of, service, started, write_catalog

REQUEST = b"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n"
TICKS = os.sysconf("SC_CLK_TCK")
DEADLINE = 60.0


class Subscriber(asyncio.Protocol):
    """Counts the events that it gets."""

    def __init__(self) -> None:
        self.got = -1  # the first id only says where the stream begins

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.got += data.count(b"\nid: ")


async def reached(subscribers: list[Subscriber], count: int) -> None:
    deadline = time.perf_counter() + DEADLINE
    while min(one.got for one in subscribers) < count:
        if time.perf_counter() > deadline:
            raise SystemExit(f"not everybody got {count} events")
        await asyncio.sleep(0.001)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def round_(folder: Path, subscribers: int, events: int) -> tuple[float, float, list[float]]:
    """MB more, microseconds of CPU an event and subscriber, and milliseconds until the last one has an event."""
    port = free_port()
    with started(service(folder, port), folder, port) as (_, pid):
        await asyncio.sleep(2)  # the catalog is read, and what is imported late is there
        before = memory_of(pid)[0]
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(Subscriber, "127.0.0.1", port) for _ in range(subscribers)]
        made[0][0].pause_reading()
        readers = [subscriber for _, subscriber in made[1:]]
        await reached(readers, 0)
        token = (folder / "state/token").read_text().strip()
        times, cpu = [], cpu_seconds(pid)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for number in range(events):
                begun = time.perf_counter()
                answer = await client.post(
                    "/tokens", json={"name": f"n{number}", "scope": "read"}, headers={"x-api-key": token}
                )
                answer.raise_for_status()
                await reached(readers, number + 1)
                times.append((time.perf_counter() - begun) * 1000)
        cpu = (cpu_seconds(pid) - cpu) / events / len(readers) * 1e6
        grown = memory_of(pid)[0] - before
        for transport, _ in made:
            transport.abort()
    return grown, cpu, times


async def measure(subscribers: int, events: int, rounds: int) -> list[Figure]:
    grown, cpu, times = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_catalog(folder / "catalog")
            found = await round_(folder, subscribers, events)
        grown.append(found[0])
        cpu.append(found[1])
        times += found[2]
    facts = {"subscribers": subscribers, "events": events}
    return [
        figure(
            f"memory of {subscribers} readers",
            "MB",
            grown,
            of="max",
            goal=50 * subscribers / 1000,
            facts=facts,
        ),
        figure("CPU for an event and a reader", "µs", cpu, of="median", facts=facts),
        figure("asked to the last reader", "ms", times, of="median", facts=facts),
    ]


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--subscribers", type=int, default=1000)
    flags.add_argument("--events", type=int, default=50)
    flags.add_argument("--rounds", type=int, default=3)
    options = flags.parse_args()
    report(uvloop.run(measure(options.subscribers, options.events, options.rounds)))


if __name__ == "__main__":
    main()
