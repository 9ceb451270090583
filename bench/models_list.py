"""Requests a second to `GET /models` with 1,000 entries, against bare apps that encode the list each time.

    python -m bench.models_list [--seconds 2] [--rounds 5]

`model-manager serve`, the program, and `bare_models.py`, each one process, are asked in turn by this one, over four
connections that ask again as soon as they are answered. All answers are whole (200, never 304) and have the same bytes.
"""

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.figures import Figure, figure, report
from bench.start import Command, free_port, service

ENTRIES = 1000
CONNECTIONS = 4
DEADLINE = 30.0
OURS, STRAIGHT, ONLY_ENCODED = "GET /models", "bare app that lists and encodes", "bare app that only encodes"


def write_catalog(folder: Path) -> None:
    """Entries as catalogs have them: a name, a repository, a sentence, tags, and how to run it."""
    (folder / "models").mkdir(parents=True)
    for number in range(ENTRIES):
        entry = {
            "id": f"model-{number:04}",
            "displayName": f"Model {number}",
            "hfModelId": f"owner/model-{number}",
            "runtime": "vllm",
            "description": "A model of the benchmark's catalog, good for being listed.",
            "license": "apache-2.0",
            "tags": ["chat", "small"],
            "resources": {"requests": {"cpu": "4", "memory": "24Gi"}, "limits": {"nvidia.com/gpu": "1"}},
            "vllm": {"dtype": "bfloat16", "maxModelLen": 8192, "gpuMemoryUtilization": 0.9},
        }
        (folder / f"models/model-{number:04}.json").write_text(json.dumps(entry, indent=2))


class Place(NamedTuple):
    """`size`: bytes of a whole answer, with its head. `pid`: of the server."""

    port: int
    path: str
    size: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU time that the server has used."""
        return time.clock_gettime((~self.pid << 3) | 2)  # its CPU-time clock: clock_getcpuclockid(3)


class Rate(NamedTuple):
    """Requests a second, by the clock on the wall and by the server's own CPU time."""

    wall: float
    cpu: float


class Asking(asyncio.BufferedProtocol):
    """Asks again as soon as an answer is there, told by its size; looks at nothing else, to be quick."""

    def __init__(self, place: Place, counts: list[int]) -> None:
        self.request = f"GET {place.path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
        self.size = self.missing = place.size
        self.counts = counts
        self.buffer = bytearray(1 << 20)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.missing -= nbytes
        if self.missing == 0:
            self.counts[0] += 1
            self.missing = self.size
            self.transport.write(self.request)


def ask(port: int, path: str) -> tuple[bytes, int]:
    """The body of a whole answer, and the size of its head."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("GET", path, headers={"accept-encoding": "identity"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{path} answered {response.status}")
    head = (
        len("HTTP/1.1 200 OK\r\n")
        + sum(len(f"{name}: {value}\r\n") for name, value in response.getheaders())
        + 2
    )
    body = response.read()
    connection.close()
    return body, head


@contextmanager
def running(command: Command, port: int, folder: Path, core: int) -> Iterator[int]:
    """The pid of a server on one core, from the moment on at which it lists all entries."""
    environment = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        stack.callback(process.terminate)
        deadline = time.monotonic() + DEADLINE
        while not lists_all(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no answer: {' '.join(command)} (exit code {process.returncode})")
            time.sleep(0.05)
        for thread in Path("/proc", str(process.pid), "task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        yield process.pid


def lists_all(port: int) -> bool:
    try:
        return len(json.loads(ask(port, "/models")[0])) == ENTRIES
    except OSError:
        return False


async def rate(place: Place, seconds: float) -> Rate:
    counts, loop = [0], asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Asking(place, counts), "127.0.0.1", place.port))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds / 4)
    before, cpu, started = counts[0], place.cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    count = counts[0] - before
    result = Rate(count / (time.perf_counter() - started), count / (place.cpu() - cpu))
    for client in clients:
        client.abort()
    if not before:
        raise SystemExit(f"{place.path} at {place.port} did not answer")
    return result


def measure(seconds: float, rounds: int) -> list[Figure]:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, ours, bare = Path(name), free_port(), free_port()
        write_catalog(folder / "catalog")
        command = [sys.executable, "-m", "bench.bare_models", str(bare), str(folder / "catalog")]
        plain = stack.enter_context(running(command, bare, folder, cores[0]))
        service_pid = stack.enter_context(running(service(folder, ours), ours, folder, cores[0]))
        os.sched_setaffinity(0, {cores[-1]})
        asked = {OURS: (ours, "/models"), STRAIGHT: (bare, "/models"), ONLY_ENCODED: (bare, "/made")}
        answers = {name: ask(*at) for name, at in asked.items()}
        if len({body for body, _ in answers.values()}) != 1:
            raise SystemExit("the answers differ")
        places = {
            name: Place(*at, len(answers[name][0]) + answers[name][1], service_pid if name == OURS else plain)
            for name, at in asked.items()
        }
        rates: dict[str, list[Rate]] = {name: [] for name in places}
        for _ in range(rounds):
            for name, found in rates.items():
                found.append(uvloop.run(rate(places[name], seconds)))
    return [*_figures(rates, STRAIGHT, 4.0), *_figures(rates, ONLY_ENCODED, None)]


def _figures(rates: dict[str, list[Rate]], other: str, goal: float | None) -> Iterator[Figure]:
    """By the wall's clock, which is what was asked for, and by the server's CPU time, which neighbours do not blur."""
    facts = {"entries": ENTRIES, "connections": CONNECTIONS}
    for clock, title in ((0, "whole answers a second"), (1, "whole answers a second of CPU time")):
        ours, theirs = ([one[clock] for one in rates[name]] for name in (OURS, other))
        yield figure(
            f"{OURS}, {title}",
            "1/s",
            ours,
            theirs,
            reference_name=other,
            goal=goal,
            at_least=True,
            facts=facts,
        )


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--seconds", type=float, default=2.0)
    flags.add_argument("--rounds", type=int, default=5)
    options = flags.parse_args()
    report(measure(options.seconds, options.rounds))


if __name__ == "__main__":
    main()
