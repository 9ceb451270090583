"""What a start makes of the folder it finds: damaged, incomplete, not ours, somebody else's."""

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_manager.errors import StateError
from model_manager.state import opening
from model_manager.state.backup import check
from model_manager.state.database import Database
from model_manager.state.filesystem import refuse_network, type_in
from tests.state.rows import keys, put


async def filled(folder: Path, count: int = 500) -> Path:
    """A cleanly closed state with some rows; returns the file."""
    database = await Database.open(folder)
    await database.write(put(*(f"key-{number:05}" for number in range(count)), value="v" * 100))
    await database.aclose()
    return database.path


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(b"\xa5" * 64)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped bytes": flip,
    "flipped header": lambda path: path.write_bytes(b"\0" * 16 + path.read_bytes()[16:]),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut to 600 bytes": lambda path: os.truncate(path, 600),
    "cut to 30 bytes": lambda path: os.truncate(path, 30),
    "empty": lambda path: os.truncate(path, 0),
    "not a database": lambda path: path.write_text("hello\n" * 1000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_s6_a_damaged_file_is_moved_aside_and_told(
    tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    path = await filled(tmp_path)
    damage(path)
    content = path.read_bytes()

    database = await Database.open(tmp_path)
    assert await keys(database) == []
    await database.write(put("new"))
    await database.aclose()

    (aside,) = tmp_path.glob("state.db.damaged-*")
    assert aside.read_bytes() == content
    assert database.recovered_from is not None
    assert str(aside) in database.recovered_from
    assert (logging.ERROR, database.recovered_from) in [
        (record.levelno, record.message) for record in caplog.records
    ]

    again = await Database.open(tmp_path)
    assert (again.recovered_from, await keys(again)) == (None, ["new"])
    await again.aclose()


async def test_s6_two_damages_in_one_second_keep_both_copies(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "state.db").write_bytes(b"")
        database = await Database.open(tmp_path)
        await database.aclose()
    assert len(list(tmp_path.glob("state.db.damaged-*"))) == 2


async def test_s6_damage_met_while_running_is_looked_for_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "CHECKED_WHOLE", 0)  # as for a file too large to check at every start
    path = await filled(tmp_path)
    flip(path)
    database = await Database.open(tmp_path)
    assert database.recovered_from is None
    everything = "SELECT sum(length(value)) FROM catalog_state"
    with pytest.raises(StateError, match="is damaged"):
        await database.read(lambda connection: connection.execute(everything).fetchone())
    await database.aclose()

    again = await Database.open(tmp_path)
    assert again.recovered_from is not None
    assert await keys(again) == []
    await again.aclose()
    assert not (tmp_path / "state.suspect").exists()


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the state open and has written the key `held`."""
    command = [sys.executable, "-m", "tests.state.program", "hold", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().strip() == str(process.pid)
        try:
            yield process
        finally:
            process.kill()


async def test_s7_a_log_lost_after_a_crash_is_told_and_the_rest_kept(tmp_path: Path) -> None:
    await filled(tmp_path, 3)
    with holding(tmp_path):
        pass
    (tmp_path / "state.db-wal").unlink()
    database = await Database.open(tmp_path)
    assert database.recovered_from is not None
    assert "state.db-wal" in database.recovered_from
    assert await keys(database) == ["key-00000", "key-00001", "key-00002"]
    await database.aclose()


async def test_s7_a_log_without_its_file_is_never_played_into_a_new_one(tmp_path: Path) -> None:
    with holding(tmp_path):
        pass
    (tmp_path / "state.db").unlink()
    log = (tmp_path / "state.db-wal").read_bytes()
    database = await Database.open(tmp_path)
    assert await keys(database) == []
    assert database.recovered_from is not None
    await database.aclose()
    (aside,) = tmp_path.glob("state.db.damaged-*-wal")
    assert aside.read_bytes() == log


async def test_s7_after_a_crash_the_log_is_played(tmp_path: Path) -> None:
    with holding(tmp_path):
        pass
    database = await Database.open(tmp_path)
    assert (database.recovered_from, await keys(database)) == (None, ["held"])
    await database.aclose()


@pytest.mark.parametrize(
    "filesystem", ["nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.sshfs", "fuse.glusterfs"]
)
async def test_s8_a_network_file_system_is_refused(tmp_path: Path, filesystem: str) -> None:
    with pytest.raises(StateError, match=f"on {filesystem}"):
        await Database.open(tmp_path / "state", filesystem=lambda path: filesystem)
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize("filesystem", ["", "ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs"])
def test_s8_local_file_systems_are_fine(filesystem: str) -> None:
    refuse_network(Path("/state"), filesystem)


MOUNTS = [
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
    "23 22 0:21 / /data rw - nfs4 server:/data rw",
    "24 23 0:22 / /data/my\\040disk rw - xfs /dev/vdb rw",
    "25 22 0:23 / /over rw - ext4 /dev/vdc rw",
    "26 25 0:24 / /over rw - cifs //server/over rw",
]


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/", "ext4"),
        ("/database", "ext4"),
        ("/data", "nfs4"),
        ("/data/state", "nfs4"),
        ("/data/my disk/state", "xfs"),
        ("/over/state", "cifs"),
    ],
)
def test_s8_the_deepest_and_latest_mount_counts(path: str, filesystem: str) -> None:
    assert type_in(MOUNTS, Path(path)) == filesystem


async def test_s9_a_second_service_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        with pytest.raises(StateError, match=f"in use by process {first.pid}") as refusal:
            await Database.open(tmp_path)
        assert refusal.value.data["pid"] == first.pid
        assert first.poll() is None
    database = await Database.open(tmp_path)  # the lock went with its process
    await database.aclose()


async def test_somebody_elses_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(StateError, match="not a state file"):
        await Database.open(tmp_path)
    assert path.read_bytes() == content


async def test_a_start_that_died_while_making_the_file_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "state.db.new").write_bytes(b"half a file")
    database = await Database.open(tmp_path)
    assert (database.recovered_from, await keys(database)) == (None, [])
    await database.aclose()


async def test_the_state_is_the_owners_alone(tmp_path: Path) -> None:
    path = await filled(tmp_path / "state")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_the_originals_state_gets_another_name_and_is_otherwise_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = (Path(__file__).with_name("bolt") / "recorded" / "original.db").read_bytes()
    for name in ("state.bolt.db", "state.bolt.db-2"):
        (tmp_path / "state.db").write_bytes(content)
        assert "is the original service's" in check(tmp_path)[0]
        database = await Database.open(tmp_path)
        assert (database.recovered_from, await keys(database)) == (None, [])
        await database.aclose()
        assert (tmp_path / name).read_bytes() == content
        assert f"is {tmp_path / name} now" in caplog.text
        (tmp_path / "state.db").unlink()
    assert not list(tmp_path.glob("*damaged*"))
