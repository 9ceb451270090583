"""How much memory this machine can give to a model, and one desk that hands it out.

A model that is still loading has not taken its memory yet, so what was admitted is kept booked until it is verified:
two slots that start at once never count the same bytes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from model_manager.serving.admission import decide

_NO_LIMIT = 1 << 62


def available_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that new processes can have: MemAvailable, or less where a control group (v2) limits us."""
    values = {}
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    free = values.get("MemAvailable", values.get("MemFree", 0))
    return min([free, *(_cgroup_left(folder) for folder in _own_cgroups(proc, cgroup))])


def _own_cgroups(proc: Path, root: Path) -> Iterator[Path]:
    """This process's control group and every one above it: a limit holds for all below."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    folder = root / own.lstrip("/")
    yield from (folder, *(above for above in folder.parents if above.is_relative_to(root)))


def private_bytes(pid: int, proc: Path = Path("/proc")) -> int:
    """Anonymous memory of a process: what its end gives back (mapped weights are cache, and count as available)."""
    try:
        for line in (proc / str(pid) / "status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has ended meanwhile
    return 0


def _cgroup_left(cgroup: Path) -> int:
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        if limit == "max":
            return _NO_LIMIT
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        used = int((cgroup / "memory.current").read_text()) - int(stat.get("inactive_file", 0))
        return max(0, int(limit) - used)
    except (OSError, ValueError):
        return _NO_LIMIT


class MemoryDesk:
    """The one place that admits what may start on this machine. `available`: how many bytes it can give now."""

    def __init__(self, available: Callable[[], int] = available_bytes) -> None:
        self._available = available
        self._booked: dict[str, int] = {}

    def admit(self, slot: str, need: int, freed: int) -> None:
        """Book `need` bytes for a slot whose old model gives back `freed`. Raises Unprocessable with both figures."""
        others = sum(size for name, size in self._booked.items() if name != slot)
        decide(need, max(0, self._available() - others), freed)
        self._booked[slot] = need

    def settle(self, slot: str) -> None:
        """The slot's model has taken its memory, or will not: nothing stays booked."""
        self._booked.pop(slot, None)
