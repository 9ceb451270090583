"""Run benchmarks, each in a process of its own, one after the other, and keep what they found.

    python -m bench [NAME…]

The results lie in `bench/results/NAME.json`; the table in `bench/README.md` is made from them. Nothing fails for being
slow: a missed goal is said, here and in the table.
"""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.figures import Figure, Spread

HERE = Path(__file__).parent
RESULTS, README = HERE / "results", HERE / "README.md"
BENCHMARKS = (
    "start",
    "cli",
    "activation",
    "catalog_reload",
    "history_list",
    "models_list",
    "gateway",
    "subscribers",
)
TABLE = ("<!-- figures: made by `make bench` -->\n", "<!-- /figures -->\n")


class Machine(Struct):
    """Where and when. `load` is the system's load average of a minute, before the run and after it."""

    cores: int
    cpu: str
    system: str
    python: str
    load: tuple[float, float]
    date: str


class Result(Struct):
    benchmark: str
    machine: Machine
    figures: list[Figure]


def run(name: str) -> Result:
    """Run one benchmark; its own messages pass through to stderr."""
    before = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}"], cwd=HERE.parent, stdout=subprocess.PIPE, check=True
    )
    figures = msgspec.json.decode(done.stdout, type=list[Figure])
    return Result(name, machine((before, os.getloadavg()[0])), figures)


def machine(load: tuple[float, float]) -> Machine:
    before, after = load
    return Machine(
        cores=len(os.sched_getaffinity(0)), cpu=_cpu(), system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(), load=(round(before, 2), round(after, 2)),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )  # fmt: skip


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def table(results: list[Result]) -> str:
    """All kept results as Markdown."""
    rows = [
        "| benchmark | figure | min / median / max | reference median | ratio | goal | met |",
        "|---" * 7 + "|",
    ]
    rows += [_row(result.benchmark, one) for result in results for one in result.figures]
    machines = sorted({f"{one.machine.cores} cores ({one.machine.cpu}), Python {one.machine.python}, "
                       f"{one.machine.date}" for one in results})  # fmt: skip
    return "\n".join([*rows, "", *(f"Measured on {one}." for one in machines)]) + "\n"


def _row(benchmark: str, one: Figure) -> str:
    kind = "" if one.value_of == "median" else f" {one.value_of}"
    bound = "≥" if one.at_least else "≤"
    goal = (
        ""
        if one.goal is None
        else f"{bound} {one.goal:g}{'x' if one.value_of == 'ratio' else f' {one.unit}'}"
    )
    goal += kind if goal and one.value_of == "max" else ""
    met = {None: "", True: "yes", False: "**no**"}[one.met]
    reference = "" if one.reference is None else f"{one.reference.median:g} ({one.reference_name})"
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}x"
    return f"| {benchmark} | {one.name} | {_spread(one.measured, one.unit)} | {reference} | {ratio} | {goal} | {met} |"


def _spread(found: Spread, unit: str) -> str:
    return f"{found.min:g} / {found.median:g} / {found.max:g} {unit} (n = {found.n})"


def write_table() -> None:
    kept = [RESULTS / f"{name}.json" for name in BENCHMARKS]
    results = [msgspec.json.decode(file.read_bytes(), type=Result) for file in kept if file.exists()]
    text = README.read_text()
    start, end = (text.index(mark) for mark in TABLE)
    README.write_text(f"{text[: start + len(TABLE[0])]}\n{table(results)}\n{text[end:]}")


def main(names: list[str]) -> int:
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        print(
            f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.",
            file=sys.stderr,
        )
        return 2
    RESULTS.mkdir(exist_ok=True)
    for name in names or BENCHMARKS:
        print(f"{name} …", flush=True)
        result = run(name)
        (RESULTS / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
        for one in result.figures:
            said = "" if one.met is None else ("" if one.met else "  — goal missed")
            ratio = "" if one.ratio is None else f", {one.ratio:.2f}x of {one.reference_name}"
            print(f"  {one.name}: {one.measured.median:g} {one.unit}{ratio}{said}")
    write_table()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
