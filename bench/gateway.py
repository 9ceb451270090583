"""The gateway beside three relays that do less, in the same run: requests a second, and CPU time per streamed event.

    python -m bench.gateway [--seconds 2] [--rounds 5] [--events 1000000]

Every server is a process on one core; the model server and this program, which asks, share another. Rounds go from one
server to the next, so that all meet the same machine. Ratios travel, seconds do not.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httptools
import uvloop

from bench.figures import Figure, figure, report
from bench.gateway_servers import EVENT_SIZE, MODEL, TOKEN, Exchanges, event, process

OURS = "the gateway"
BARE, AIOHTTP, RAW = "bare ASGI relay", "aiohttp in ASGI", "raw asyncio relay"
CONNECTIONS = 16
STREAMS, RATE = 100, 50


class Running(NamedTuple):
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU time that the process has used."""
        return time.clock_gettime((~self.pid << 3) | 2)  # its CPU-time clock: clock_getcpuclockid(3)


@contextmanager
def servers(names: tuple[str, ...]) -> Iterator[dict[str, Running]]:
    context = multiprocessing.get_context("fork")
    cores = sorted(os.sched_getaffinity(0))
    listeners = {name: socket.create_server(("127.0.0.1", 0), backlog=1024) for name in ("upstream", *names)}
    upstream = listeners["upstream"].getsockname()[1]
    processes = {
        name: context.Process(
            target=process,
            args=(name, cores[-1] if name == "upstream" else cores[0], listener, upstream),
            daemon=True,
        )
        for name, listener in listeners.items()
    }
    for one in processes.values():
        one.start()
    os.sched_setaffinity(0, {cores[-1]})
    try:
        yield {name: Running(listeners[name].getsockname()[1], processes[name].pid or 0) for name in names}
    finally:
        for one in reversed(processes.values()):
            one.kill()
            one.join()


def request(**wish: object) -> bytes:
    body = json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": "hello " * 20}], **wish}
    ).encode()
    fields = (
        "host: 127.0.0.1", f"authorization: Bearer {TOKEN}", "content-type: application/json",
        "accept: application/json", "user-agent: bench", f"content-length: {len(body)}",
    )  # fmt: skip
    return ("POST /v1/chat/completions HTTP/1.1\r\n" + "\r\n".join(fields) + "\r\n\r\n").encode() + body


class Asking(Exchanges):
    """Asks again as soon as it is answered."""

    def __init__(self, counts: list[int]) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.counts = counts
        self.request = request()

    def connection_made(self, transport: object) -> None:
        super().connection_made(transport)
        self.transport.write(self.request)

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() != 200:
            self.transport.abort()  # the rate of a server that refuses is none
            return
        self.counts[0] += 1
        self.transport.write(self.request)


class Listening(Exchanges):
    """One stream, every byte of which is compared. `first` is called at its first byte."""

    def __init__(self, events: int, rate: int, first: Callable[[], None]) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.request = request(stream=True, events=events, rate=rate)
        self.events, self.first = events, first
        self.seen = 0
        self.rest = b""
        self.wrong = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: object) -> None:
        super().connection_made(transport)
        self.transport.write(self.request)

    def on_body(self, body: bytes) -> None:
        if not self.seen:
            self.first()
        data = self.rest + body
        whole = len(data) - len(data) % EVENT_SIZE
        for start in range(0, whole, EVENT_SIZE):
            self.wrong += data[start : start + EVENT_SIZE] != event(self.seen)
            self.seen += 1
        self.rest = data[whole:]

    def on_message_complete(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.wrong += abs(self.events - self.seen) + bool(self.rest)
            self.done.set_result(None)


async def rate(server: Running, seconds: float) -> tuple[float, float]:
    """Requests a second, and requests a second of the server's CPU time: alike where nothing else runs."""
    counts, loop = [0], asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Asking(counts), "127.0.0.1", server.port))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds / 4)  # until connections and code are warm
    before, started, used = counts[0], time.perf_counter(), server.cpu()
    await asyncio.sleep(seconds)
    answered = counts[0] - before
    result = answered / (time.perf_counter() - started), answered / (server.cpu() - used)
    if not answered:
        raise SystemExit("a server did not answer 200")
    for client in clients:
        client.abort()
    return result


async def streams(server: Running, count: int, events: int, rate: int) -> tuple[int, float]:
    """(events that were missing, other or out of order; CPU seconds per event) of streams that run at once."""
    loop = asyncio.get_running_loop()
    running: list[Listening] = []
    before = server.cpu()
    for _ in range(count):
        _, one = await loop.create_connection(
            lambda: Listening(events, rate, lambda: None), "127.0.0.1", server.port
        )
        running.append(one)
        if rate:
            await asyncio.sleep(1 / rate / count)  # they do not beat in time
    await asyncio.gather(*(one.done for one in running))
    for one in running:
        one.transport.abort()
    return sum(one.wrong for one in running), (server.cpu() - before) / (count * events)


async def measure(seconds: float, rounds: int, events: int) -> list[Figure]:
    names = (OURS, BARE, AIOHTTP, RAW)
    rates, of_cpu, costs = ({name: [] for name in names} for _ in range(3))
    with servers(names) as running:
        for _ in range(rounds):
            for name in names:
                by_clock, by_cpu = await rate(running[name], seconds)
                rates[name].append(by_clock)
                of_cpu[name].append(by_cpu)
        for _ in range(rounds):
            for name in names:
                wrong, cost = await streams(running[name], STREAMS, int(RATE * seconds), RATE)
                if wrong:
                    raise SystemExit(f"{name} lost {wrong} events")
                costs[name].append(cost * 1e6)
        wrong, _ = await streams(running[OURS], STREAMS, events // STREAMS, 0)
    found = [
        figure(
            what, "1/s", values[OURS], values[name], reference_name=name, at_least=True, goal=goal,
            facts={"connections": CONNECTIONS},
        )
        for what, values in (("requests a second", rates), ("requests a second of CPU time", of_cpu))
        for name, goal in ((BARE, 0.75), (AIOHTTP, 1.6), (RAW, None))
    ]  # fmt: skip
    found += [
        figure(
            f"CPU per event, {STREAMS} streams x {RATE}/s", "µs", costs[OURS], costs[name],
            of="median" if goal else "ratio", reference_name=name, goal=goal,
        )
        for name, goal in ((BARE, 44.0), (AIOHTTP, None), (RAW, None))
    ]  # fmt: skip
    found.append(figure(f"events lost, changed or out of order, of {events}", "", [wrong], of="max", goal=0))
    return found


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--seconds", type=float, default=2.0)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--events", type=int, default=1_000_000)
    options = flags.parse_args()
    report(uvloop.run(measure(options.seconds, options.rounds, options.events)))


if __name__ == "__main__":
    main()
