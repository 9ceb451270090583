"""What a killed service left running, recognised at the next start and ended. Never a stranger.

Each start of a model server is recorded before it is made, by its mark; afterwards with its number, start time and
group. A number alone proves nothing: the machine gives it to others.
"""

import asyncio
import time
from pathlib import Path

import msgspec

from model_manager.errors import Unavailable
from model_manager.serving.local import procfs
from model_manager.serving.local.process import kill_exactly

GONE_TIMEOUT = 10.0
"""Seconds that killed leftovers may take to be gone. Longer means a device driver holds them."""

_NO_GROUP = -1  # 0 is the group of the kernel's own threads


class Record(msgspec.Struct, frozen=True):
    """One start, as `run/<slot>.json`. `pid` is also the group's number; 0: not known to have been forked."""

    mark: str
    boot: str
    pid: int = 0
    start: int = 0


# Made at import, by one thread: see `catalog.entry.DECODER`.
_DECODER = msgspec.json.Decoder(Record)


def remember(path: Path, mark: str, pid: int = 0) -> None:
    """Record a start. Without `pid` before it is made. OSError: the state folder cannot be written."""
    found = procfs.stat(pid) if pid else None
    record = Record(mark, procfs.boot_id(), pid, found.start if found else 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.encode(record))
    beside.replace(path)


def forget(path: Path) -> None:
    """Everything of the recorded start is gone."""
    path.unlink(missing_ok=True)


async def end(path: Path) -> str | None:
    """End what is left of the start recorded here. A sentence when something was.

    Unavailable: it does not end, and nothing may be started in its place.
    """
    return await asyncio.to_thread(_end, path)


def _end(path: Path) -> str | None:
    try:
        record = _DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        record = Record(mark="", boot="")  # a damaged record names nobody
    ended: dict[int, None] = {}
    deadline = time.monotonic() + GONE_TIMEOUT
    while left := _left_of(record):
        for found in left:
            ended[found.pid] = None
            kill_exactly(found)
        if time.monotonic() > deadline:
            numbers = ", ".join(str(found.pid) for found in left)
            raise Unavailable(
                f"A model server of an earlier run (process {numbers}) does not end, even when killed.",
                "It is held by a device driver; restart the machine if it stays.",
            )
        time.sleep(0.01)  # in a thread of its own
    forget(path)
    if not ended:
        return None
    return f"Ended a model server that an earlier run left behind (process {', '.join(map(str, ended))})."


def _left_of(record: Record) -> list[procfs.ProcessStat]:
    if not record.mark or record.boot != procfs.boot_id():
        return []
    found = procfs.belonging(record.pid or _NO_GROUP, record.mark)
    return [one for one in found if _is_ours(one, record, found)]


def _is_ours(one: procfs.ProcessStat, record: Record, found: list[procfs.ProcessStat]) -> bool:
    """By its mark, or by being in the group of which the leader or a marked process is a member too.

    A program may overwrite the environment that /proc shows; it cannot leave the rest of its group a stranger's:
    a group's number is given to no other while one member lives.
    """
    if procfs.bears(one.pid, record.mark):
        return True
    return one.group == record.pid and any(
        other.group == record.pid
        and (
            (other.pid == record.pid and other.start == record.start) or procfs.bears(other.pid, record.mark)
        )
        for other in found
    )
