"""The folder of installed weights: listing, removing, clearing up, and hands off what is not ours."""

import os
from pathlib import Path

import pytest

from model_manager.errors import Conflict, InvalidRequest, NotFound, Unavailable
from model_manager.weights.disk import exchange, require_same_file_system
from model_manager.weights.installed import InstalledFile, InstalledWeights, encode_manifest
from model_manager.weights.store import Foreign, WeightStore


@pytest.fixture
def store(root: Path) -> WeightStore:
    store = WeightStore(root)
    store.prepare()
    return store


def put(store: WeightStore, folder: str, data: bytes = b"weights") -> Path:
    """Publish one file as an install does."""
    staging = store.stage(folder)
    (staging / "m.gguf").write_bytes(data)
    weights = InstalledWeights(
        folder=folder, source={"uri": "file:x"}, revision="r", entry=None, size=len(data), installed_by="tester",
        files=[InstalledFile("m.gguf", len(data), "0" * 64)], installed_at="2026-01-01T00:00:00.000Z",
    )  # fmt: skip
    (staging / ".weights.json").write_bytes(encode_manifest(weights))
    store.publish(staging, folder)
    return store.path(folder)


def test_list_find_and_usage(store: WeightStore) -> None:
    put(store, "qwen", b"x" * 10)
    put(store, "openai/gpt-oss-120b", b"x" * 20)
    put(store, "a/b/c/d", b"x" * 30)
    assert [weights.folder for weights in store.list()] == ["a/b/c/d", "openai/gpt-oss-120b", "qwen"]
    found = store.find("openai/gpt-oss-120b")
    assert found is not None and found.files[0].size == 20
    assert store.find("openai") is None and store.find("absent") is None
    usage = store.usage()
    disk = os.statvfs(store.root)
    assert (usage.installed, usage.count) == (60, 3) and usage.total == disk.f_blocks * disk.f_frsize
    assert usage.used + usage.available <= usage.total


def test_a_folder_moved_by_hand_goes_by_its_new_name(store: WeightStore) -> None:
    put(store, "old").rename(store.root / "new")
    assert [weights.folder for weights in store.list()] == ["new"]


def test_a_root_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "absent")
    assert store.list() == [] and store.foreign() == [] and store.find("x") is None
    assert store.prepare() == [] and (tmp_path / "absent" / ".staging").is_dir()


def test_k9_leftovers_of_ours_are_cleared_and_foreign_things_only_reported(
    store: WeightStore, tmp_path: Path
) -> None:
    put(store, "qwen")
    put(store, "openai/ours")
    root = store.root
    staging = store.stage("killed")
    (staging / "part.bin").write_bytes(b"x" * 100)
    (root / ".trash" / "old").mkdir()
    (root / ".trash" / "loose").write_bytes(b"y")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"z")
    (root / ".trash" / "link").symlink_to(precious)
    for foreign in ("model.tmp", "openai/theirs", ".hf-cache", "x.incomplete", "damaged"):
        (root / foreign).mkdir()
        (root / foreign / "file").write_bytes(b"x" * 7)
    (root / "loose.tmp").write_bytes(b"12345")
    (root / "link").symlink_to(precious)
    (root / "damaged" / ".weights.json").write_bytes(b"{")
    (root / "empty").mkdir()
    (root / "lost+found").mkdir()
    expected = [
        Foreign(".hf-cache", 7), Foreign("damaged", 8), Foreign("link", 0), Foreign("loose.tmp", 5),
        Foreign("model.tmp", 7), Foreign("openai/theirs", 7), Foreign("x.incomplete", 7),
    ]  # fmt: skip
    assert store.foreign() == expected
    told = store.prepare()
    assert len(told) == 4 and "100 bytes that an interrupted install left" in told[0]
    assert not any((root / ".staging").iterdir()) and not any((root / ".trash").iterdir())
    assert store.foreign() == expected and (precious / "file").exists()
    assert len(store.list()) == 2


def test_removed_weights_vanish_at_once_and_are_freed_later(store: WeightStore) -> None:
    put(store, "openai/gpt")
    free = store.trash("openai/gpt")
    assert store.find("openai/gpt") is None and not (store.root / "openai").exists()
    assert len(list((store.root / ".trash").iterdir())) == 1
    free()
    free()
    assert not any((store.root / ".trash").iterdir())


def test_removing_keeps_siblings(store: WeightStore) -> None:
    put(store, "openai/a")
    put(store, "openai/b")
    store.trash("openai/a")()
    assert [weights.folder for weights in store.list()] == ["openai/b"]


@pytest.mark.parametrize("name", ["../models-x", "..", "/", "", ".staging", "-rf", "a\0", "x" * 300])
def test_d22_no_name_leaves_the_root(store: WeightStore, name: str) -> None:
    """The predecessor's prefix check let `/mnt/models-x` pass for `/mnt/models`."""
    outside = store.root.parent / "models-x"
    outside.mkdir()
    for act in (store.path, store.find, store.trash, store.check_target):
        with pytest.raises(InvalidRequest):
            act(name)
    assert outside.exists()


def test_what_is_absent_or_not_ours_is_not_removed(store: WeightStore) -> None:
    with pytest.raises(NotFound, match="no weights 'absent'"):
        store.trash("absent")
    (store.root / "theirs").mkdir()
    (store.root / "theirs" / "file").write_bytes(b"x")
    with pytest.raises(Conflict, match="not removed"):
        store.trash("theirs")
    assert (store.root / "theirs" / "file").exists()


def test_d23_symlinks_below_the_root_are_never_followed(store: WeightStore, tmp_path: Path) -> None:
    target = put(store, "real")
    (store.root / "alias").symlink_to(target)
    for act in (store.find, store.trash, store.path):
        with pytest.raises(Conflict, match="symlink"):
            act("alias")
    assert [weights.folder for weights in store.list()] == ["real"]
    manifest = target / ".weights.json"
    manifest.rename(tmp_path / "manifest")
    manifest.symlink_to(tmp_path / "manifest")
    assert store.find("real") is None


def test_the_root_itself_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "models").symlink_to("volume")
    store = WeightStore(tmp_path / "models")
    store.prepare()
    assert put(store, "x") == tmp_path.resolve() / "volume" / "x"


def test_k7_staging_and_root_must_share_a_file_system(tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with pytest.raises(Unavailable, match="different file systems"):
        require_same_file_system(tmp_path, shm)
    (tmp_path / ".staging").symlink_to(shm)
    with pytest.raises(Unavailable, match="is a symlink"):
        WeightStore(tmp_path).prepare()


def test_a_root_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be used: "):
        WeightStore(tmp_path / "file").prepare()


def test_exchange_swaps_in_one_step_or_says_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / folder.name).touch()
    if exchange(one, other):
        assert (one / "other").exists() and (other / "one").exists()
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "absent")
    monkeypatch.setattr("ctypes.CDLL", lambda *args, **more: object())
    assert exchange(one, other) is False
