"""Installing, from the message to the published folder; the worker as a real process where it matters."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog.entry import Entry, Source, SourceFile
from model_manager.errors import (
    Conflict,
    Forbidden,
    InsufficientStorage,
    InvalidRequest,
    ModelManagerError,
    NotFound,
    Unprocessable,
    UpstreamError,
)
from model_manager.weights import disk
from model_manager.weights import transfer as mover
from model_manager.weights.install import work
from model_manager.weights.store import WeightStore
from tests.hub.fake import FakeHub, Request
from tests.waiting import until_sync
from tests.weights.fakes import MODEL, Cancelled, FakeControl, order, tree_of

ENTRY = Entry(id="model", hf_model_id="org/model")
FOLDER = "org-model"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "BACKOFF", 0.01)


def staged(root: Path) -> list[Path]:
    return [
        path for name in (".staging", ".trash") if (root / name).is_dir() for path in (root / name).iterdir()
    ]


def install(
    root: Path, hub: FakeHub | None, entry: Entry = ENTRY, folder: str = FOLDER, **more: Any
) -> dict[str, Any]:
    return work(FakeControl(), order(root, entry, folder, hub, **more))  # type: ignore[arg-type]


def test_an_install_is_published_whole_with_its_manifest(hub: FakeHub, root: Path) -> None:
    commit = hub.commit("org/model", MODEL)
    result = install(root, hub)
    assert tree_of(root / FOLDER) == MODEL and staged(root) == []
    assert result["path"] == str(root / FOLDER) and result["name"] == FOLDER
    assert result["sizeBytes"] == sum(map(len, MODEL.values())) and result["unchanged"] is False
    manifest = json.loads((root / FOLDER / ".weights.json").read_bytes())
    assert (
        manifest["revision"] == commit
        and manifest["entry"] == "model"
        and manifest["installedBy"] == "tester"
    )
    assert manifest["source"] == {"uri": "hf://org/model", "endpoint": hub.url}
    assert {file["path"] for file in manifest["files"]} == MODEL.keys()
    found = WeightStore(root).find(FOLDER)
    assert found is not None and found.size == result["sizeBytes"]


def test_the_same_again_completes_at_once_unless_asked_to_overwrite(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    install(root, hub)
    before = (root / FOLDER / "model.safetensors").stat().st_ino
    hub.requests.clear()
    result = install(root, hub)
    assert result["unchanged"] and "already installed" in result["message"]
    assert not hub.seen("hub", "/resolve/") and not hub.seen("cdn")
    assert not install(root, hub, overwrite=True)["unchanged"]
    assert (root / FOLDER / "model.safetensors").stat().st_ino != before


def test_a_damaged_copy_is_not_called_unchanged(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    install(root, hub)
    (root / FOLDER / "model.safetensors").write_bytes(b"cut")
    assert not install(root, hub)["unchanged"]
    assert tree_of(root / FOLDER) == MODEL


def test_d11_the_branch_moves_during_the_install(hub: FakeHub, root: Path) -> None:
    first = hub.commit("org/model", MODEL)

    def move(request: Request) -> None:
        if "/resolve/" in request.path and len(hub.repos["org/model"].commits) == 1:
            hub.commit("org/model", {path: data[::-1] for path, data in MODEL.items()})

    hub.on_request = move
    assert install(root, hub)["revision"] == first
    assert tree_of(root / FOLDER) == MODEL


def test_an_update_replaces_the_copy_and_drops_files_that_left(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    install(root, hub)
    second = hub.commit("org/model", {"config.json": b"{}", "new.safetensors": b"new"})
    assert install(root, hub)["revision"] == second
    assert tree_of(root / FOLDER) == {"config.json": b"{}", "new.safetensors": b"new"}
    assert staged(root) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_d17_a_failed_update_leaves_the_old_copy(hub: FakeHub, root: Path, overwrite: bool) -> None:
    """The predecessor removed the good copy before it downloaded the new one."""
    hub.commit("org/model", MODEL)
    install(root, hub)
    inode = (root / FOLDER).stat().st_ino
    hub.commit("org/model", {**MODEL, "model.safetensors": b"new" * 1000})
    hub.fail("model.safetensors", "reset")
    with pytest.raises(UpstreamError):
        install(root, hub, overwrite=overwrite)
    assert tree_of(root / FOLDER) == MODEL and (root / FOLDER).stat().st_ino == inode
    assert WeightStore(root).find(FOLDER) is not None and staged(root) == []


def test_an_update_without_exchange_still_ends_with_one_copy(
    hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("org/model", MODEL)
    install(root, hub)
    hub.commit("org/model", {"config.json": b"{}"})
    monkeypatch.setattr("model_manager.weights.store.exchange", lambda one, other: False)
    install(root, hub)
    assert tree_of(root / FOLDER) == {"config.json": b"{}"} and staged(root) == []


def test_two_levels_of_folders(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    install(root, hub, folder="openai/gpt-oss-120b")
    assert tree_of(root / "openai" / "gpt-oss-120b") == MODEL
    assert [weights.folder for weights in WeightStore(root).list()] == ["openai/gpt-oss-120b"]
    for folder, words in (("openai", "left alone"), ("openai/gpt-oss-120b/deeper", "lies inside")):
        with pytest.raises(Conflict, match=words):
            install(root, hub, folder=folder)


def test_two_names_that_flatten_to_one_folder_conflict(hub: FakeHub, root: Path) -> None:
    hub.commit("org/a_b", MODEL)
    hub.commit("org/a-b", {"config.json": b"{}"})
    install(root, hub, Entry(id="one", hf_model_id="org/a_b"), "org-a-b")
    other = Entry(id="two", hf_model_id="org/a-b")
    with pytest.raises(Conflict, match="holds weights from hf://org/a_b for one, not from hf://org/a-b"):
        install(root, hub, other, "org-a-b")
    assert tree_of(root / "org-a-b") == MODEL
    install(root, hub, other, "org-a-b", overwrite=True)
    assert tree_of(root / "org-a-b") == {"config.json": b"{}"}


def test_an_entry_may_change_its_own_source(hub: FakeHub, root: Path) -> None:
    hub.commit("org/old", MODEL)
    hub.commit("org/new", {"config.json": b"{}"})
    install(root, hub, Entry(id="one", hf_model_id="org/old"), "one")
    install(root, hub, Entry(id="one", hf_model_id="org/new"), "one")
    assert tree_of(root / "one") == {"config.json": b"{}"}


def test_a_folder_that_is_not_ours_is_left_alone(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    (root / FOLDER).mkdir()
    (root / FOLDER / "precious").write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(Conflict, match="left alone"):
            install(root, hub, overwrite=overwrite)
    assert tree_of(root / FOLDER) == {"precious": b"x"}


def test_an_empty_folder_such_as_the_kubelet_makes_is_taken(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    (root / FOLDER).mkdir()
    install(root, hub)
    assert tree_of(root / FOLDER) == MODEL


def test_d23_a_symlink_in_the_way_is_not_followed(hub: FakeHub, root: Path, tmp_path: Path) -> None:
    hub.commit("org/model", MODEL)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "openai").symlink_to(elsewhere)
    with pytest.raises(Conflict, match="symlink"):
        install(root, hub, folder="openai/x")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("folder", ["../models-x", "/etc", "a/../../b", ".staging/x", "-rf", "a\0b"])
def test_d22_a_target_never_leaves_the_root(hub: FakeHub, root: Path, folder: str) -> None:
    """The predecessor compared prefixes without a separator: `/mnt/models-x` passed for `/mnt/models`."""
    hub.commit("org/model", MODEL)
    with pytest.raises(InvalidRequest):
        install(root, hub, folder=folder)
    assert sorted(path.name for path in root.parent.iterdir()) == ["weights"]


def index(*shards: str) -> bytes:
    return json.dumps({"weight_map": {f"t{number}": shard for number, shard in enumerate(shards)}}).encode()


@pytest.mark.parametrize(
    ("shards", "kind"),
    [
        (("absent.safetensors",), Unprocessable),
        (("../x.safetensors",), InvalidRequest),
        (("/x",), InvalidRequest),
    ],
)
def test_d13_y4_every_shard_of_an_index_must_be_there(
    hub: FakeHub, root: Path, shards: tuple[str, ...], kind: type[ModelManagerError]
) -> None:
    content = index("model.safetensors", *shards)
    hub.commit("org/model", {**MODEL, "model.safetensors.index.json": content})
    with pytest.raises(kind):
        install(root, hub)
    assert not (root / FOLDER).exists() and staged(root) == []


def test_d13_a_complete_index_passes(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", {**MODEL, "sub/m.index.json": index("w.bin"), "sub/w.bin": b"w"})
    install(root, hub)
    assert (root / FOLDER / "sub" / "w.bin").read_bytes() == b"w"


def test_d13_a_broken_index_is_a_sentence(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", {"m.index.json": b"[" * 100_000})
    with pytest.raises(Unprocessable, match="is not JSON"):
        install(root, hub)


def test_k1_what_does_not_fit_is_refused_before_a_byte(
    hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("org/model", MODEL)
    monkeypatch.setattr(disk, "free_bytes", lambda path: 600_000)
    with pytest.raises(
        InsufficientStorage, match=r"needs 512\.2 kB, and 600\.0 kB are free .* 100\.0 kB are kept"
    ) as caught:
        install(root, hub, reserve=100_000)
    need = sum(map(len, MODEL.values()))
    assert caught.value.data == {"need": need, "free": 600_000, "reserve": 100_000, "retryable": False}
    assert "lower MODEL_MANAGER_DISK_RESERVE" in caught.value.hint
    assert not hub.seen("hub", "/resolve/") and staged(root) == []
    install(root, hub, reserve=600_000 - need)


# -- other sources ------------------------------------------------------------


def file_entry(uri: str, *files: SourceFile, **more: Any) -> Entry:
    return Entry(id="demo", source=Source(uri=uri, files=files), **more)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "catalog"
    (tree / "weights" / "sub").mkdir(parents=True)
    (tree / "weights" / "demo.gguf").write_bytes(b"GGUF demo")
    (tree / "weights" / "sub" / "extra.json").write_bytes(b"{}")
    return tree


def test_a_file_of_the_catalog(root: Path, tree: Path) -> None:
    entry = file_entry("file:weights/demo.gguf")
    first = install(root, None, entry, "demo", tree=str(tree))
    assert tree_of(root / "demo") == {"demo.gguf": b"GGUF demo"} and first["revision"].startswith("sha256:")
    assert install(root, None, entry, "demo", tree=str(tree))["unchanged"]
    (tree / "weights" / "demo.gguf").write_bytes(b"GGUF Demo")
    assert not install(root, None, entry, "demo", tree=str(tree))["unchanged"]
    assert tree_of(root / "demo") == {"demo.gguf": b"GGUF Demo"}


def test_a_folder_of_the_catalog(root: Path, tree: Path) -> None:
    install(root, None, file_entry("file:weights"), "demo", tree=str(tree))
    assert tree_of(root / "demo") == {"demo.gguf": b"GGUF demo", "sub/extra.json": b"{}"}
    install(root, None, file_entry("file:weights", files=("*.gguf",)), "demo", tree=str(tree))
    assert tree_of(root / "demo") == {"demo.gguf": b"GGUF demo"}


def test_t7_no_path_or_symlink_leads_out_of_the_tree(root: Path, tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "catalog-x" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"secret")
    (tree / "link").symlink_to(secret)
    (tree / "folder").symlink_to(secret.parent)
    (tree / "inside").symlink_to("weights/demo.gguf")
    (tree / "loop").symlink_to("loop")
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_bytes(b"token")
    for uri in (
        "file:link",
        "file:folder",
        "file:folder/secret",
        "file:../catalog-x/secret",
        "file:.git/config",
    ):
        with pytest.raises(Forbidden, match="leads out"):
            install(root, None, file_entry(uri), "demo", tree=str(tree))
    (tree / "bundle").mkdir()
    (tree / "bundle" / "x.json").symlink_to("/etc/passwd")
    with pytest.raises(Forbidden, match="leads out"):
        install(root, None, file_entry("file:bundle"), "demo", tree=str(tree))
    for uri in ("file:absent", "file:loop"):
        with pytest.raises(NotFound):
            install(root, None, file_entry(uri), "demo", tree=str(tree))
    install(root, None, file_entry("file:inside"), "demo", tree=str(tree))
    assert tree_of(root / "demo") == {"demo.gguf": b"GGUF demo"}


def test_absolute_files_need_an_allowed_folder(root: Path, tree: Path, tmp_path: Path) -> None:
    entry = file_entry(f"file://{tree}/weights/demo.gguf")
    with pytest.raises(Forbidden, match="no folder of this machine is an allowed source"):
        install(root, None, entry, "demo", tree=str(tmp_path))
    with pytest.raises(Forbidden, match="leads out"):
        install(root, None, entry, "demo", fileRoots=[str(tree) + "-x"])
    install(root, None, entry, "demo", fileRoots=[str(tree)])
    assert tree_of(root / "demo") == {"demo.gguf": b"GGUF demo"}


@pytest.mark.parametrize(
    ("uri", "files", "words"),
    [
        ("file:weights/demo.gguf", (SourceFile(path="demo.gguf", sha256="0" * 64),), "wrong sha256"),
        ("file:weights/demo.gguf", (SourceFile(path="demo.gguf", size=3),), "9 bytes, and the entry says 3"),
        ("file:weights/demo.gguf", (SourceFile(path="a"), SourceFile(path="b")), "is one file"),
        ("file:weights", (SourceFile(path="absent"),), "does not exist"),
        ("file:pointer.gguf", (), "Git LFS pointer"),
        ("file:pipe", (), "not a plain file"),
        ("file:gone/x", (), "does not exist"),
    ],
)
def test_files_that_are_not_what_the_entry_says(
    root: Path, tree: Path, uri: str, files: tuple[SourceFile, ...], words: str
) -> None:
    (tree / "pointer.gguf").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    os.mkfifo(tree / "pipe")
    with pytest.raises(ModelManagerError, match=words):
        install(root, None, file_entry(uri, *files), "demo", tree=str(tree))
    assert not (root / "demo").exists()


def web_entry(url: str, hub: FakeHub, *names: str, size: bool = False) -> Entry:
    import hashlib

    files = hub.repos["org/model"].commits[hub.repos["org/model"].refs["main"]]
    pins = [
        SourceFile(
            path=name, sha256=hashlib.sha256(files[name]).hexdigest(), size=len(files[name]) if size else None
        )
        for name in names
    ]
    return Entry(id="web", source=Source(uri=url, files=tuple(pins)))


@pytest.mark.parametrize("size", [True, False])
def test_https_one_file_or_a_folder_of_them(hub: FakeHub, root: Path, size: bool) -> None:
    hub.commit("org/model", MODEL)
    base = f"{hub.url}/org/model/resolve/main"
    one = web_entry(f"{base}/model.safetensors?download=true", hub, "model.safetensors", size=size)
    install(root, None, one, "one", allowHttp=True)
    assert tree_of(root / "one") == {"model.safetensors": MODEL["model.safetensors"]}
    all_ = web_entry(f"{base}/", hub, *MODEL, size=size)
    first = install(root, None, all_, "all", allowHttp=True)
    assert tree_of(root / "all") == MODEL and first["revision"].startswith("sha256:")
    assert install(root, None, all_, "all", allowHttp=True)["unchanged"]


def test_https_checks_what_it_gets(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    entry = web_entry(f"{hub.url}/org/model/resolve/main/model.safetensors", hub, "model.safetensors")
    with pytest.raises(Unprocessable, match="over http"):
        install(root, None, entry, "web")
    hub.fail("model.safetensors", "bitflip")
    with pytest.raises(UpstreamError, match="wrong sha256"):
        install(root, None, entry, "web", allowHttp=True)
    hub.repos["org/model"].private = True
    with pytest.raises(Forbidden, match="not public"):
        install(root, None, entry, "web", allowHttp=True)


def test_an_entry_without_source_is_a_sentence(root: Path) -> None:
    with pytest.raises(
        Unprocessable, match="No weights of demo are installed, and its entry names no source"
    ):
        install(root, None, Entry(id="demo"), "demo")


# -- the worker as a process --------------------------------------------------


INSTALL = ("-P", "-m", "model_manager.weights.install")


@contextmanager
def worker(
    message: dict[str, Any], *prefix: str, program: tuple[str, ...] = INSTALL
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*prefix, sys.executable, *program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


def lines(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    assert process.stdout
    return [json.loads(line) for line in process.stdout]


def test_the_worker_speaks_the_protocol(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    with worker(order(root, ENTRY, FOLDER, hub, secrets={"hubToken": "hf_good"})) as process:
        said = lines(process)
    assert said[-1]["result"]["name"] == FOLDER and "progress" in said[0]
    assert tree_of(root / FOLDER) == MODEL
    assert "hf_good" not in json.dumps(said) + (root / FOLDER / ".weights.json").read_text()


def test_d18_cancel_during_a_stalled_read_ends_in_two_seconds(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", {"m.bin": b"x" * 100_000})
    hub.fail("m.bin", "stall")
    with worker(order(root, ENTRY, FOLDER, hub)) as process:
        assert process.stdin and process.stdout
        until_sync(lambda: hub.seen("cdn"))
        start = time.monotonic()
        process.stdin.write(b'{"cancel": true}\n')
        process.stdin.flush()
        said = lines(process)
        assert process.wait(5) != 0 and time.monotonic() - start < 2.0
        assert said[-1]["error"]["code"] == "cancelled"
    assert staged(root) == [] and not (root / FOLDER).exists()


def test_cancel_while_a_name_does_not_resolve(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be interrupted is left behind: planning hangs for ever here."""
    control = FakeControl()

    def hang(*args: object, **more: object) -> None:
        control.cancelled = True
        time.sleep(60)

    monkeypatch.setattr("model_manager.weights.install.plan_for", hang)
    with pytest.raises(Cancelled):
        work(control, order(root, ENTRY, FOLDER))  # type: ignore[arg-type]


def test_d16_a_killed_worker_leaves_nothing_that_the_next_one_minds(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    hub.fail("model.safetensors", "stall", times=1)
    with worker(order(root, ENTRY, FOLDER, hub)) as process:
        until_sync(lambda: hub.seen("cdn"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (root / FOLDER).exists() and len(staged(root)) == 1
    install(root, hub)
    assert tree_of(root / FOLDER) == MODEL and staged(root) == []


def test_k2_a_file_size_limit_is_a_clean_failure(hub: FakeHub, root: Path) -> None:
    hub.commit("org/model", MODEL)
    with worker(order(root, ENTRY, FOLDER, hub), "prlimit", "--fsize=100000", "--") as process:
        error = lines(process)[-1]["error"]
    assert error["code"] == "insufficient_storage" and "larger than allowed" in error["sentence"]
    assert not error["retryable"] and staged(root) == [] and not (root / FOLDER).exists()


def _can_mount(folder: Path) -> bool:
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_k2_k10_a_full_disk_is_a_clean_failure(hub: FakeHub, root: Path, tmp_path: Path) -> None:
    """The room is checked against figures that lie: the disk says no only in the middle of a write."""
    if not _can_mount(root):
        pytest.skip("a small disk needs the right to mount one")
    hub.commit("org/model", {"big.bin": b"x" * 3_000_000})
    script = tmp_path / "full.sh"
    script.write_text(
        f'mount -t tmpfs -o size=2m none {root} && "$@"; ls -A {root}/.staging {root}/.trash >&2'
    )
    lying = (
        "import model_manager.weights.disk as disk; disk.free_bytes = lambda path: 1 << 40\n"
        "from model_manager.jobs.worker import main; from model_manager.weights.install import work; main(work)"
    )
    prefix = ("unshare", "-m", "sh", str(script))
    with worker(order(root, ENTRY, FOLDER, hub), *prefix, program=("-c", lying)) as process:
        error = lines(process)[-1]["error"]
        assert process.stderr
        left = process.stderr.read().decode()
    assert error["code"] == "insufficient_storage" and "it is full" in error["sentence"]
    assert left.split() == [f"{root}/.staging:", f"{root}/.trash:"]
