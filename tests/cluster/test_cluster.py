"""The cluster itself: it ends with whoever started it, however that ends."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from testcluster import Cluster
from testcluster.process import Died, Program

from tests.waiting import until

SCRIPT = """
import asyncio
from testcluster.cluster import cluster

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sleeps"},
    "spec": {
        "nodeSelector": {"kubernetes.io/hostname": "cpu-1"},
        "containers": [{"name": "main", "image": "test.invalid/model-server", "command": ["sleep", "600"]}],
    },
}

async def main():
    async with cluster() as one, one.namespace() as namespace:
        await namespace.apply(POD)
        await namespace.wait(lambda: running(namespace))
        print(one.folder, flush=True)
        await asyncio.Event().wait()

async def running(namespace):
    return all(pod["status"]["phase"] == "Running" for pod in await namespace.pods())

asyncio.run(main())
"""


async def test_a_run_that_is_killed_leaves_no_process_behind() -> None:
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SCRIPT),
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert run.stdout
        folder = Path((await run.stdout.readline()).decode().strip())
        assert {"etcd", "kube-apiserver", "kserve-manager", "sleep"} <= {name for name, _ in _below(run.pid)}
        left = [pid for _, pid in _below(run.pid)]
    finally:
        run.kill()
        await run.wait()
    await until(lambda: not any(map(_runs, left)), 10)
    Cluster(Path("no-programs")).stop()
    assert not folder.exists(), "the next run removes what files it left"


def test_a_program_that_died_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = Program("teller", ["sh", "-c", "echo the reason; exit 3"], tmp_path / "log")
    program.start()
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(Died, match=r"(?s)teller ended with code 3.*the reason"):
        program.check()


def _below(pid: int) -> list[tuple[str, int]]:
    """Name and number of each process that `pid` started, and that those started."""
    found: list[tuple[str, int]] = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        name = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0].decode()
        found += [(Path(name).name, int(child)), *_below(int(child))]
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
