"""What the machine can give, and who was promised it."""

import os
from pathlib import Path

import pytest

from model_manager.errors import Unprocessable
from model_manager.serving.memory import MemoryDesk, available_bytes, private_bytes

GIB = 2**30


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    return write(tmp_path / "proc", meminfo="MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 4000 kB\n")


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, 4000 * 1024),
        ({"memory_max": "max\n", "memory_current": "5", "memory_stat": ""}, 4000 * 1024),
        ({"memory_max": "5000", "memory_current": "3000", "memory_stat": "anon 1\ninactive_file 500"}, 2500),
        ({"memory_max": "5000", "memory_current": "6000", "memory_stat": ""}, 0),
        ({"memory_max": "5000", "memory_current": "?", "memory_stat": ""}, 4000 * 1024),
    ],
    ids=["no group", "no limit", "file cache can be had", "over the limit", "unreadable"],
)
def test_available_is_what_the_machine_and_its_control_group_leave(
    proc: Path, tmp_path: Path, files: dict[str, str], available: int
) -> None:
    assert available_bytes(proc, write(tmp_path / "cgroup", **files)) == available


def test_a_limit_holds_for_every_group_below_it(proc: Path, tmp_path: Path) -> None:
    """A service of systemd, or a container that sees the machine's groups, has its limit some levels down."""
    write(proc / "self", cgroup="0::/system.slice/model-manager.service\n")
    root = tmp_path / "cgroup"
    own = {"memory_max": "max", "memory_current": "10", "memory_stat": ""}
    write(root / "system.slice" / "model-manager.service", **own)
    write(root / "system.slice", memory_max="7000", memory_current="1000", memory_stat="")
    assert available_bytes(proc, root) == 6000


def test_an_old_kernel_tells_of_free_memory_alone(tmp_path: Path) -> None:
    assert available_bytes(write(tmp_path, meminfo="MemFree: 10 kB\n"), tmp_path) == 10 * 1024


def test_the_private_memory_of_a_process(tmp_path: Path) -> None:
    write(tmp_path / "7", status="Name:\tx\nRssAnon:\t     12 kB\nRssFile:\t 99 kB\n")
    assert private_bytes(7, tmp_path) == 12 * 1024
    assert private_bytes(8, tmp_path) == 0, "it has ended"
    assert private_bytes(os.getpid()) > 0


def test_two_slots_never_count_the_same_bytes() -> None:
    desk = MemoryDesk(lambda: 10 * GIB)
    desk.admit("one", 6 * GIB, 0)
    with pytest.raises(Unprocessable) as caught:
        desk.admit("two", 6 * GIB, 0)
    assert caught.value.data == {"reason": "insufficient_memory", "needBytes": 6 * GIB, "freeBytes": 4 * GIB}
    desk.admit("two", 6 * GIB, freed=2 * GIB)
    desk.admit("one", 4 * GIB, 0)  # its own earlier booking does not count against it


def test_a_slot_that_has_settled_books_nothing() -> None:
    desk = MemoryDesk(lambda: 10 * GIB)
    desk.admit("one", 6 * GIB, 0)
    desk.settle("one")
    desk.settle("one")
    desk.admit("two", 6 * GIB, 0)
