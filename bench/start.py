"""How long a start takes, and what an idle service weighs, against a bare app on the same libraries.

    python -m bench.start [--rounds 9]

From exec to the first 200 on /healthz, as a client sees it, with a catalog of 100 entries: `model-manager serve`, the
program, on a port that was free just before. It is started in turn on a state folder that it knows (a restart) and
on none (a first start); between them comes `bare_app.py`. The first round warms the file cache and is dropped.
Memory is read from /proc three seconds after the first answer, when the catalog is loaded.
"""

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure, figure, report

ENTRIES = 100
IDLE_AFTER = 3.0
IDLE_ROUNDS = 3
DEADLINE = 30.0
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
Command = list[str]


def write_catalog(folder: Path) -> None:
    (folder / "models").mkdir(parents=True)
    for number in range(ENTRIES):
        entry = {
            "id": f"model-{number}",
            "displayName": f"Model {number}",
            "hfModelId": f"owner/model-{number}",
            "runtime": "vllm",
            "resources": {"requests": {"cpu": "4", "memory": "24Gi"}, "limits": {"nvidia.com/gpu": "1"}},
            "vllm": {"dtype": "bfloat16", "maxModelLen": 8192, "gpuMemoryUtilization": 0.9},
        }
        (folder / f"models/model-{number}.json").write_text(json.dumps(entry, indent=2))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def service(folder: Path, port: int) -> Command:
    program = Path(sysconfig.get_path("scripts"), "model-manager")
    return [
        str(program), "serve", "--host", "127.0.0.1", "--server-port", str(port),
        "--catalog-root", str(folder / "catalog"), "--state-path", str(folder / "state"),
    ]  # fmt: skip


def bare(_: Path, port: int) -> Command:
    return [sys.executable, "-m", "bench.bare_app", str(port)]


def answers(port: int) -> bool:
    """Whether a 200 came; waits for it once the port listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            connection.sendall(REQUEST)
            return connection.recv(64).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


@contextmanager
def started(command: Command, folder: Path, port: int) -> Iterator[tuple[float, int]]:
    """Seconds to the first 200, and the pid; the process is ended with the block."""
    environment = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while not answers(port):
            if process.poll() is not None or time.perf_counter() - begun > DEADLINE:
                raise SystemExit(f"no answer: {' '.join(command)} (exit code {process.returncode})")
            time.sleep(0.001)
        yield time.perf_counter() - begun, process.pid
    finally:
        process.terminate()
        process.wait(DEADLINE)


def seconds_to_answer(kind: str, folder: Path) -> float:
    if kind == "first start":
        shutil.rmtree(folder / "state", ignore_errors=True)
    port = free_port()
    command = bare(folder, port) if kind == "bare" else service(folder, port)
    with started(command, folder, port) as (seconds, _):
        return seconds


def memory(command: Command, folder: Path, port: int) -> tuple[float, float]:
    """MB (10^6 bytes) resident, and proportionally shared, of the idle process."""
    with started(command, folder, port) as (_, pid):
        time.sleep(IDLE_AFTER)
        return memory_of(pid)


def memory_of(pid: int) -> tuple[float, float]:
    """MB (10^6 bytes) resident, and proportionally shared, of a process."""
    proc = Path("/proc", str(pid))
    return _kilobytes(proc / "status", "VmRSS"), _kilobytes(proc / "smaps_rollup", "Pss")


def _kilobytes(file: Path, field: str) -> float:
    line = next(line for line in file.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024 / 1e6


def start_times(rounds: int, folder: Path) -> Iterator[Figure]:
    times: dict[str, list[float]] = {"bare": [], "first start": [], "restart": []}
    for number in range(rounds + 1):
        for kind, found in times.items():
            seconds = seconds_to_answer(kind, folder)
            if number:
                found.append(seconds)
    for kind in ("restart", "first start"):
        pairs = [ours / theirs for ours, theirs in zip(times[kind], times["bare"], strict=True)]
        yield figure(
            f"{kind}: exec to first 200 on /healthz", "s", times[kind], times["bare"],
            reference_name="bare Starlette + uvicorn + msgspec app", goal=1.25,
            facts={"entries": ENTRIES, "median of pairwise ratios": round(statistics.median(pairs), 3)},
        )  # fmt: skip


def idle_memory(folder: Path) -> Iterator[Figure]:
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "service": []}
    for _ in range(IDLE_ROUNDS):
        for kind, results in found.items():
            port = free_port()
            command = bare(folder, port) if kind == "bare" else service(folder, port)
            results.append(memory(command, folder, port))
    for column, name in enumerate(("RSS", "PSS")):
        ours, theirs = ([pair[column] for pair in found[kind]] for kind in ("service", "bare"))
        yield figure(
            f"idle {name}, {IDLE_AFTER:g} s after the first answer", "MB", ours, theirs, of="median",
            reference_name="bare app", goal=60 if name == "RSS" else None,
        )  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--rounds", type=int, default=9)
    options = flags.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_catalog(folder / "catalog")
        report([*start_times(options.rounds, folder), *idle_memory(folder)])


if __name__ == "__main__":
    main()
