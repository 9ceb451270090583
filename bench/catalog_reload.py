"""How long a catalog of 10,000 entries takes from a flipped link to being served.

    python -m bench.catalog_reload [ENTRIES]

The link is flipped to a commit that changes one file. `git diff` is the way where Git can be asked, `read all` where it
cannot. The reference of the same run reads all files of a tree with `open().read()` in a thread.
The lag is the longest time that the event loop was held up meanwhile, of each reload.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.figures import Figure, figure, report
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.source import LinkSource
from model_manager.catalog.tree import Tree
from model_manager.events import EventLog
from model_manager.state.database import Database

ROUNDS = 5
TICK = 0.002


class Rig:
    """A repository, and a link that is flipped between worktrees of its commits, as git-sync does it."""

    def __init__(self, folder: Path, entries: int) -> None:
        self.repo, self.link, self.trees = folder / "repo", folder / "link", folder / "trees"
        (self.repo / "models").mkdir(parents=True)
        self.trees.mkdir()
        self.git("init", "--quiet")
        for number in range(entries):
            self.put(number, "first")
        self.commit()

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0")
        command = ["git", *identity, *args]
        return subprocess.run(
            command, cwd=self.repo, check=True, capture_output=True, text=True
        ).stdout.strip()

    def put(self, number: int, text: str) -> None:
        entry = {
            "id": f"model-{number}",
            "displayName": f"Model {number} {text}",
            "hfModelId": f"owner/model-{number}",
            "runtime": "vllm",
            "tags": ["chat", "small"],
            "env": [{"name": "HF_HOME", "value": "/mnt/models/.hf-cache"}],
            "resources": {"requests": {"cpu": "4", "memory": "24Gi"}, "limits": {"nvidia.com/gpu": "1"}},
            "vllm": {"dtype": "bfloat16", "maxModelLen": 8192, "gpuMemoryUtilization": 0.9},
        }
        (self.repo / f"models/model-{number}.json").write_text(json.dumps(entry, indent=2))

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        commit = self.git("rev-parse", "HEAD")
        self.git("worktree", "add", "--quiet", "--detach", str(self.trees / commit), commit)
        fresh = self.link.with_name("fresh")
        fresh.symlink_to(self.trees / commit)
        fresh.replace(self.link)


class WithoutGit(LinkSource):
    """A link whose trees no repository knows."""

    async def changed(self, old: Tree, new: Tree, folder: str) -> list[str] | None:
        return None


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Seconds that it took, and the longest time the loop was held up, in milliseconds."""
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            worst = max(worst, time.perf_counter() - before - TICK)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    started = time.perf_counter()
    await work()
    took = time.perf_counter() - started
    ticking.cancel()
    return took, worst * 1000


def read_everything(tree: Path) -> int:
    return sum(len(path.read_bytes()) for path in sorted((tree / "models").iterdir()))


async def measure(catalog: Catalog, rig: Rig, way: str) -> list[Figure]:
    await catalog.refresh()
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        rig.put(number, f"changed {time.time()}")
        rig.commit()
        tree = rig.link.resolve()
        read_everything(tree)  # both meet a warm file cache
        ours.append(await timed(catalog.refresh))
        assert catalog.item(f"model-{number}").revision == tree.name
        theirs.append(await timed(lambda tree=tree: asyncio.to_thread(read_everything, tree)))
    (times, lags), (references, reference_lags) = zip(*ours, strict=True), zip(*theirs, strict=True)
    name = "reading all files"
    return [
        figure(f"reload, {way}", "s", times, references, reference_name=name, goal=1.5),
        figure(
            f"event loop held up, {way}", "ms", lags, reference_lags, of="max", reference_name=name, goal=50
        ),
    ]


async def main(entries: int) -> None:
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), entries)
        for way, kind in (("git diff", LinkSource), ("read all", WithoutGit)):
            database = await Database.open(Path(folder) / way)
            catalog = Catalog(kind(rig.link), "models", database, EventLog(database), 30.0)
            found += await measure(catalog, rig, way)
            await database.aclose()
    report(found)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
