"""What this machine lets one process use: cores and memory, cgroup limits included.

`os.cpu_count()` tells of the whole machine. In a container that may run on 2 of 64 cores, 64 threads
make generation many times slower, not faster.
"""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = CGROUPS) -> int:
    """Cores that this process may run on at once: its affinity or, when smaller, its CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _own_cgroups(cgroups):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)


def usable_memory(cgroups: Path = CGROUPS) -> int:
    """Bytes of memory that this process could have at most: the machine's, or its cgroup's smaller limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (_read(folder / "memory.max") for folder in _own_cgroups(cgroups))
    return min([total, *(int(limit) for limit in limits if limit.isdigit())])


def _own_cgroups(root: Path) -> Iterator[Path]:
    """This process's cgroup (v2) and every one above it: a limit holds for all below."""
    line = next(
        (line for line in _read(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::")), "0::/"
    )
    folder = root / line.removeprefix("0::").lstrip("/")
    yield from (folder, *(above for above in folder.parents if above.is_relative_to(root)))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
