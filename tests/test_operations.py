"""What docs/operations.md tells operators to do, done."""

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.house import house_settings, open_house, runtime, write_catalog, write_runtimes

PAGE = (Path(__file__).parent.parent / "docs/operations.md").read_text()


def prepared(folder: Path) -> None:
    write_catalog(folder / "catalog", {"demo": "well"})
    write_runtimes(folder / "runtimes", [runtime("well")])


async def test_weights_that_were_moved_to_another_disk_are_found_and_served(tmp_path: Path) -> None:
    prepared(tmp_path)
    async with open_house(house_settings(tmp_path)) as house:
        await house.active("demo")
    assert "`.weights.json` says" in PAGE
    shutil.copytree(tmp_path / "state" / "weights", tmp_path / "disk")
    shutil.rmtree(tmp_path / "state" / "weights")
    async with open_house(house_settings(tmp_path, weights_path=tmp_path / "disk")) as house:
        status, found = await house.call("GET", "/weights")
        assert (status, [one["name"] for one in found["weights"]]) == (200, ["demo"])
        await house.serves("demo")
        jobs = await house.parts.jobs.list()
        assert len(jobs) == 1  # that of the first house: nothing was installed again


async def test_a_backup_put_in_place_of_the_state_brings_it_back(tmp_path: Path) -> None:
    prepared(tmp_path)
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    async with open_house(house_settings(tmp_path)) as house:
        await house.active("demo")
        command = [sys.executable, "-m", "model_manager", "state", "backup", str(backup)]
        environment = {"STATE_PATH": str(state), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        await house.call("POST", "/models/deactivate")
        await house.serves(None)
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (state / name).unlink(missing_ok=True)
    backup.rename(state / "state.db")
    async with open_house(house_settings(tmp_path)) as house:
        await house.serves("demo")


def test_the_files_that_the_page_installs_are_there() -> None:
    root = Path(__file__).parent.parent
    named = set(re.findall(r"deploy/[\w./-]+\w", PAGE))
    assert named >= {
        "deploy/systemd/model-manager.service", "deploy/prometheus/alerts.yaml", "deploy/grafana/model-manager.json"
    }  # fmt: skip
    assert [name for name in named if not (root / name).is_file()] == []
