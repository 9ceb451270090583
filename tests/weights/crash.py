"""Kill an install, or a removal, at every step it takes on the file system, and look at what is left.

    python -m tests.weights.crash SCENARIO FOLDER

Each round forks; the child kills itself at its N-th step below the root (Python's audit events are the steps), the
parent then checks that the folder is as it was or as it was to be, that a new start clears up, and that the work
can be done again. Prints how many steps were cut at; stops at the first that leaves something wrong.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from model_manager.catalog.entry import Entry, Source
from model_manager.weights import store as store_module
from model_manager.weights.install import work
from model_manager.weights.store import WeightStore
from tests.weights.fakes import FakeControl, order, tree_of

OLD = {"a.gguf": b"old" * 1000, "sub/b.json": b"{}"}
NEW = {"a.gguf": b"new" * 2000, "c.json": b"[]"}
FOLDER = "openai/demo"
STEPS = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.rmdir",
    "os.remove",
    "os.scandir",
    "os.listdir",
    "shutil.rmtree",
    "ctypes.dlsym",
}


def kill_at(step: int, root: Path) -> None:
    """From now on, die at the `step`-th step below the root."""
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in STEPS or not (event == "ctypes.dlsym" or str(root) in str(arguments[0])):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def install(base: Path, files: dict[str, bytes]) -> None:
    fill(base / "tree" / "w", files)
    entry = Entry(id="demo", source=Source(uri="file:w"))
    work(FakeControl(), order(base / "root", entry, FOLDER, tree=str(base / "tree")))  # type: ignore[arg-type]


def state(root: Path) -> dict[str, bytes]:
    """What a reader of the store sees under the folder; a folder without its manifest is a failure."""
    weights = WeightStore(root).find(FOLDER)
    path = root / FOLDER
    if weights is None:
        assert not path.exists(), f"{path} is visible and not published: {sorted(path.rglob('*'))}"
        return {}
    assert weights.files_present(path)
    return tree_of(path)


def cut(base: Path, step: int, before: dict[str, bytes], after: dict[str, bytes], act: Callable[[], None],
        may_vanish: bool) -> bool:  # fmt: skip
    """One round; whether the child was killed."""
    root = base / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    if before:
        install(base, before)
    child = os.fork()
    if child == 0:
        kill_at(step, root)
        act()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    seen = state(root)
    allowed = [before, after] + ([{}] if may_vanish else [])
    assert seen in allowed, f"step {step}: {sorted(seen)}"
    store = WeightStore(root)
    store.prepare()
    assert not any(any((root / name).iterdir()) for name in (".staging", ".trash"))
    assert state(root) == seen
    install(base, NEW)
    assert state(root) == NEW
    return os.WIFSIGNALED(status)


def main(scenario: str, base: Path) -> int:
    before = {} if scenario == "fresh" else OLD
    after = {} if scenario == "remove" else NEW

    def act() -> None:
        if scenario == "remove":
            WeightStore(base / "root").trash(FOLDER)()
        else:
            install(base, NEW)

    if scenario == "update-without-exchange":
        store_module.exchange = lambda one, other: False  # type: ignore[assignment]
    step = 1
    while cut(base, step, before, after, act, may_vanish=scenario == "update-without-exchange"):
        step += 1
    return step - 1


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2])))
