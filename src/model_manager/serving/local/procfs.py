"""What Linux's /proc says of processes: identity, groups, environment, listening sockets. Blocking; no decisions.

Elsewhere there is no /proc and every answer is empty.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_DEAD = "ZX"  # zombie, dead: no longer runs anything


class ProcessStat(NamedTuple):
    """The fields of /proc/PID/stat that identify a process. `start` is in clock ticks since boot."""

    pid: int
    state: str
    group: int
    start: int


def stat(pid: int) -> ProcessStat | None:
    """None when there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything, spaces and brackets too
    return ProcessStat(pid, fields[0], int(fields[2]), int(fields[19]))


def boot_id() -> str:
    """A name for this boot of the machine: process ids of another one mean nothing."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def living() -> Iterator[ProcessStat]:
    """Every process that runs, this one excepted."""
    if not PROC.is_dir():
        return
    for folder in PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            found = stat(int(folder.name))
            if found and found.state not in _DEAD:
                yield found


def bears(pid: int, mark: str) -> bool:
    """Was this process (or the one it was forked from) started with `NAME=value` in its environment?"""
    try:
        return mark.encode() in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone, or another user's


def belonging(group: int, mark: str) -> list[ProcessStat]:
    """The running processes of a group, and those that left the group but bear its mark."""
    return [found for found in living() if found.group == group or bears(found.pid, mark)]


def listens_on(port: int, group: int, mark: str) -> bool:
    """Does one of these processes hold the socket that listens on this port? True where nobody can tell."""
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    if not sockets:
        return not PROC.joinpath("net/tcp").exists()
    if sockets & _open_files(group):  # the leader itself, nearly always
        return True
    return any(sockets & _open_files(found.pid) for found in belonging(group, mark))


def _listeners(port: int) -> Iterator[str]:
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (PROC / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: LISTEN
                yield fields[9]


def _open_files(pid: int) -> set[str]:
    found = set()
    try:
        for link in (PROC / str(pid) / "fd").iterdir():
            found.add(str(link.readlink()))
    except OSError:
        pass  # it ended, or closed one meanwhile
    return found
