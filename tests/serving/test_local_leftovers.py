"""What a killed service leaves behind, and who is never mistaken for it."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from model_manager.serving.local import leftovers, procfs
from model_manager.serving.local.leftovers import Record
from model_manager.serving.local.process import kill_exactly, new_mark
from tests.serving import ground
from tests.serving.ground import SLOT, local_platform
from tests.waiting import until

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(60)")


def running(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.state not in "ZX"


def record_of(root: Path) -> Path:
    return root / "state/run" / f"{SLOT}.json"


async def service(root: Path, *behaviours: str) -> Process:
    """A service of its own process, to be killed."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.serving.local_service", str(root), *behaviours),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


async def first_pid(process: Process) -> int:
    assert process.stdout
    return int(await process.stdout.readline())


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


@pytest.fixture
async def stranger() -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*SLEEP, start_new_session=True)
    yield process
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def test_p1_a_killed_service_takes_its_model_server_along(tmp_path: Path) -> None:
    process = await service(tmp_path, "ignore_term")
    pid = await first_pid(process)
    await kill(process)
    await until(lambda: not running(pid), timeout=1.0)


@pytest.mark.parametrize("behaviour", ["fork_grandchild", "escape_grandchild"])
async def test_p1_a_grandchild_of_a_killed_service_is_ended_at_the_next_start(
    tmp_path: Path, behaviour: str
) -> None:
    process = await service(tmp_path, behaviour)
    pid = await first_pid(process)
    mark = msgspec.json.decode(record_of(tmp_path).read_bytes(), type=Record).mark
    await kill(process)
    await until(lambda: not running(pid))
    (left,) = procfs.belonging(-1, mark)
    assert left.pid != pid
    async with local_platform(tmp_path) as platform:
        said = await platform.recover()
        assert said == [f"Ended a model server that an earlier run left behind (process {left.pid})."]
        assert not running(left.pid)
        assert not record_of(tmp_path).exists()
        assert await platform.recover() == []


async def test_p1_apply_alone_ends_leftovers_of_its_slot_first(tmp_path: Path) -> None:
    process = await service(tmp_path, "fork_grandchild")
    pid = await first_pid(process)
    mark = msgspec.json.decode(record_of(tmp_path).read_bytes(), type=Record).mark
    await kill(process)
    await until(lambda: not running(pid))
    async with local_platform(tmp_path) as platform:
        await platform.apply(ground.manifest())
        await ground.instance_when(platform, lambda one: one.pid)
        assert procfs.belonging(-1, mark) == []


async def test_c1_kill_at_any_moment_of_a_switch_leaves_one_process_after_the_next_start(
    tmp_path: Path,
) -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for _ in range(3):
        process = await service(tmp_path, "fork_grandchild", "slow_term:0.05")
        assert process.stdin
        await first_pid(process)
        process.stdin.write(b"switch\n")
        await process.stdin.drain()
        await asyncio.sleep(dice.uniform(0, 0.5))  # the moment is what is tested
        await kill(process)
    async with local_platform(tmp_path) as platform:
        await platform.recover()
        await platform.apply(ground.manifest())
        instance = await ground.ready(platform)
        assert _servers_of(tmp_path) == {instance.pid}, f"seed {seed}"


def _servers_of(root: Path) -> set[int]:
    """Processes that run in this test's state folder."""
    found = set()
    for one in procfs.living():
        try:
            if Path(f"/proc/{one.pid}/cwd").readlink() == root / "state/run":
                found.add(one.pid)
        except OSError:
            pass
    return found


async def test_p3_a_stranger_with_the_recorded_number_lives(tmp_path: Path, stranger: Process) -> None:
    path = tmp_path / "slot.json"
    found = procfs.stat(stranger.pid)
    assert found
    earlier = Record(new_mark(), procfs.boot_id(), stranger.pid, found.start - 100)
    path.write_bytes(msgspec.json.encode(earlier))
    assert await leftovers.end(path) is None
    assert running(stranger.pid)
    assert not path.exists()


async def test_p3_numbers_of_another_boot_mean_nothing(tmp_path: Path, stranger: Process) -> None:
    path = tmp_path / "slot.json"
    found = procfs.stat(stranger.pid)
    assert found
    path.write_bytes(msgspec.json.encode(Record(new_mark(), "another-boot", stranger.pid, found.start)))
    assert await leftovers.end(path) is None
    assert running(stranger.pid)


async def test_p3_the_recorded_process_is_ended_though_its_environment_shows_no_mark(
    tmp_path: Path, stranger: Process
) -> None:
    """As of a program that writes its title over its environment."""
    path = tmp_path / "slot.json"
    leftovers.remember(path, new_mark(), stranger.pid)
    said = await leftovers.end(path)
    assert said is not None
    assert str(stranger.pid) in said
    assert await stranger.wait() == -signal.SIGKILL


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"mark": 1}', b"\xff\xfe"])
async def test_a_damaged_record_names_nobody_and_stops_nothing(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "slot.json"
    path.write_bytes(damage)
    assert await leftovers.end(path) is None
    assert not path.exists()


async def test_p3_a_number_that_changed_hands_is_not_killed(stranger: Process) -> None:
    found = procfs.stat(stranger.pid)
    assert found
    kill_exactly(found._replace(start=found.start + 1))
    with pytest.raises(TimeoutError):  # a signal takes a moment: one that was sent would end it in this time
        await asyncio.wait_for(stranger.wait(), 0.2)
    kill_exactly(found)
    assert await stranger.wait() == -signal.SIGKILL


async def test_an_orderly_end_leaves_no_record_and_no_process(tmp_path: Path) -> None:
    process = await service(tmp_path, "fork_grandchild")
    pid = await first_pid(process)
    assert process.stdin
    process.stdin.close()
    assert await process.wait() == 0
    assert not running(pid)
    assert not record_of(tmp_path).exists()
