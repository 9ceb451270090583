"""The catalog over revisions, failures and restarts, on a folder and on a link that git-sync would keep."""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.catalog import catalog as catalog_module
from model_manager.catalog import files, gitcommand
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.source import FolderSource, LinkSource, open_source
from model_manager.catalog.tree import Source, Tree
from model_manager.errors import NotFound, Unavailable
from model_manager.events import EventLog
from model_manager.state.database import Database
from tests.catalog.conftest import Repo, Syncer
from tests.waiting import until

CatalogOf = Callable[[Source], Catalog]


async def test_a_worktree_is_read_at_its_commit(repo: Repo, catalog_of: CatalogOf) -> None:
    repo.put("a", aliases=["first"])
    commit = repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    assert (await catalog.refresh()).revision == commit
    assert catalog.item("first").entry.id == "a"
    assert catalog.item("a").revision == commit
    assert catalog.tree() == repo.path
    status = catalog.status()
    assert (status.kind, status.count, status.ready, status.error) == ("folder", 1, True, None)


async def test_changes_that_are_not_committed_are_seen_and_said(repo: Repo, catalog_of: CatalogOf) -> None:
    repo.put("a")
    commit = repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    await catalog.refresh()
    repo.put("b")
    first = (await catalog.refresh()).revision
    assert first.startswith(f"{commit}-dirty-") and len(first) <= 63
    repo.put("b", displayName="again")
    assert (await catalog.refresh()).revision not in (first, commit)
    assert (catalog.item("b").entry.display_name) == "again"


async def test_ignored_entries_make_a_worktree_dirty_too(repo: Repo, catalog_of: CatalogOf) -> None:
    repo.put("a")
    (repo.path / ".gitignore").write_text("models/b.json\n.venv/\n")
    commit = repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    (repo.path / ".venv").mkdir()
    (repo.path / ".venv/x").touch()
    assert (await catalog.refresh()).revision == commit
    repo.put("b")
    assert "b" in (await catalog.refresh()).items


async def test_a_plain_folder_has_the_hash_of_its_content(tmp_path: Path, catalog_of: CatalogOf) -> None:
    (tmp_path / "c/models").mkdir(parents=True)
    (tmp_path / "c/models/a.json").write_text('{"id":"a","hfModelId":"o/n"}')
    catalog = catalog_of(FolderSource(tmp_path / "c"))
    first = await catalog.refresh()
    assert len(first.revision) == 40
    assert await catalog.refresh() is first, "nothing changed: nothing is made anew"
    (tmp_path / "c/models/b.json").write_text('{"id":"b","hfModelId":"o/n"}')
    assert (await catalog.refresh()).revision != first.revision


async def test_a_folder_inside_of_somebody_elses_repository_is_a_plain_folder(
    repo: Repo, catalog_of: CatalogOf
) -> None:
    (repo.path / ".gitignore").write_text("state/\n")
    commit = repo.commit()
    inner = repo.path / "state/catalog/models"
    inner.mkdir(parents=True)
    (inner / "a.json").write_text('{"id":"a","hfModelId":"o/n"}')
    assert (await catalog_of(FolderSource(inner.parent)).refresh()).revision != commit


async def test_t7_a_repository_of_another_user_runs_nothing(
    repo: Repo, catalog_of: CatalogOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = repo.put("a")
    (repo.path / ".gitattributes").write_text("* filter=evil\n")
    repo.commit()
    repo.git("config", "filter.evil.clean", f"touch {tmp_path}/ran; cat")
    os.utime(entry, (1, 1))  # so that git has to look into it
    monkeypatch.setitem(gitcommand._ENVIRONMENT, "GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    catalog = catalog_of(FolderSource(repo.path))
    snapshot = await catalog.refresh()
    assert list(snapshot.items) == ["a"]
    assert not (tmp_path / "ran").exists()


async def test_t7_comparing_commits_fetches_nothing(repo: Repo, tmp_path: Path) -> None:
    repo.put("a")
    old = repo.commit()
    repo.put("b")
    new = repo.commit()
    folder = repo.git("rev-parse", f"{old}:models")
    (repo.path / ".git" / "objects" / folder[:2] / folder[2:]).unlink()
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "evil",
        "remote.evil.promisor": "true",
        "remote.evil.url": str(repo.path),
        "remote.evil.uploadpack": f"touch {tmp_path}/ran; git-upload-pack",
    }.items():
        repo.git("config", name, value)
    assert await gitcommand.changed_names(repo.path, old, new, "models") is None
    assert not (tmp_path / "ran").exists()


async def test_t3_a_broken_file_keeps_its_last_good_version(
    repo: Repo, catalog_of: CatalogOf, events: EventLog
) -> None:
    for index in range(100):
        repo.put(f"m{index}")
    good = repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    await catalog.refresh()
    repo.put("m7", '{"id":"m7",\n "env": [}')
    bad = repo.commit()
    snapshot = await catalog.refresh()
    assert snapshot.revision == bad and len(snapshot.items) == 100
    assert snapshot.items["m7"].stale and snapshot.items["m7"].revision == good
    assert not snapshot.items["m8"].stale and snapshot.items["m8"].revision == bad
    (problem,) = snapshot.problems
    assert str(problem).startswith("models/m7.json:2:10: is not valid JSON")
    (told,) = await events.page(kind="catalog_problem")
    assert told.subject == "models/m7.json" and told.data["line"] == 2

    again = catalog_of(FolderSource(repo.path))  # after a restart
    snapshot = await again.refresh()
    assert snapshot.items["m7"].stale and snapshot.items["m7"].revision == good
    assert len(await events.page(kind="catalog_problem")) == 1, "a restart is no news"
    assert len(await events.page(kind="catalog_refreshed")) == 2

    repo.put("m7", displayName="mended")
    repo.commit()
    assert not (await again.refresh()).items["m7"].stale


async def test_a_file_deleted_on_purpose_removes_the_entry(
    repo: Repo, catalog_of: CatalogOf, events: EventLog
) -> None:
    repo.put("a"), repo.put("b")
    repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    await catalog.refresh()
    repo.remove("b")
    repo.commit()
    await catalog.refresh("ann")
    with pytest.raises(NotFound):
        catalog.item("b")
    (event, *_) = await events.page(kind="catalog_refreshed", newest_first=True)
    assert (event.actor, event.data["removed"], event.data["count"]) == ("ann", ["b"], 1)
    assert list((await catalog_of(FolderSource(repo.path)).refresh()).items) == ["a"]


async def test_t10_a_removed_entry_is_not_found_and_close_ids_are_named(
    repo: Repo, catalog_of: CatalogOf
) -> None:
    repo.put("qwen2.5-0.5b-instruct"), repo.put("llama"), repo.put("broken", "{")
    repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    await catalog.refresh()
    with pytest.raises(NotFound) as found:
        catalog.item("qwen2.5-0.5b-instuct")
    assert "qwen2.5-0.5b-instruct" in found.value.hint
    with pytest.raises(NotFound) as found:
        catalog.item("broken")
    assert "models/broken.json:1:2" in found.value.hint
    with pytest.raises(NotFound) as found:
        catalog.item("x\n\x1b[31m" + "y" * 5000)
    assert found.value.sentence.isprintable() and len(found.value.sentence) < 200


async def test_t6_a_duplicate_id_over_a_restart(repo: Repo, catalog_of: CatalogOf) -> None:
    repo.put("a", displayName="first")
    first = repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    await catalog.refresh()
    repo.put("b", '{"id":"a","hfModelId":"o/n"}')
    repo.put("c"), repo.put("d", '{\n"hfModelId":"o/n", "id":"c"}')
    repo.commit()
    for each in (catalog, catalog_of(FolderSource(repo.path))):
        snapshot = await each.refresh()
        assert each.item("a").stale and each.item("a").revision == first
        with pytest.raises(Unavailable, match=r"models/c\.json and models/d\.json"):
            each.item("c")
        assert [
            (p.file, p.line, p.column) for p in snapshot.problems if p.field == "id" and p.severity == "error"
        ] == [
            ("models/a.json", 2, 8),
            ("models/b.json", 1, 7),
            ("models/c.json", 2, 8),
            ("models/d.json", 2, 25),
        ]
    repo.remove("d"), repo.remove("b")
    repo.commit()
    await catalog.refresh()
    assert not catalog.item("a").stale and not catalog.item("c").stale
    repo.put("c", "{")  # the bytes of c were read long before they became its last good version
    repo.commit()
    await catalog.refresh()
    assert catalog.item("c").stale


@pytest.mark.parametrize("loss", ["folder", "empty", "everything"])
async def test_t2_a_vanished_catalog_keeps_the_last_good_one(
    repo: Repo, catalog_of: CatalogOf, tmp_path: Path, loss: str
) -> None:
    repo.put("a", aliases=["x"])
    commit = repo.commit()
    catalog = catalog_of(FolderSource(repo.path))
    snapshot = await catalog.refresh()
    if loss == "empty":
        repo.remove("a")
    else:
        (repo.path / ("models" if loss == "folder" else "")).rename(tmp_path / "away")
    with pytest.raises(Unavailable):
        await catalog.refresh()
    assert catalog.snapshot is snapshot
    status = catalog.status()
    assert status.ready and status.revision == commit and status.count == 1
    assert status.error and status.stale_since

    again = catalog_of(open_source(repo.path, None))  # also over a restart
    with pytest.raises(Unavailable):
        await again.refresh()
    assert again.item("x").stale and again.item("a").revision == commit
    assert again.status().ready and again.status().error
    with pytest.raises(Unavailable):
        again.tree()

    if loss == "empty":
        repo.put("a")
    else:
        (tmp_path / "away").rename(repo.path / ("models" if loss == "folder" else ""))
    assert not (await again.refresh()).items["a"].stale
    assert again.status().error is None and again.status().stale_since is None


async def test_before_the_first_load_it_says_so(tmp_path: Path, catalog_of: CatalogOf) -> None:
    catalog = catalog_of(open_source(tmp_path / "to come", None))
    assert not catalog.status().ready
    with pytest.raises(Unavailable, match="not been read yet"):
        catalog.item("a")
    with pytest.raises(Unavailable, match="is not there"):
        await catalog.refresh()


async def test_a_link_is_read_at_the_commit_it_is_named_after(
    repo: Repo, syncer: Syncer, catalog_of: CatalogOf
) -> None:
    catalog = catalog_of(open_source(syncer.link, None))
    with pytest.raises(Unavailable, match="is not there"):
        await catalog.refresh()
    repo.put("a")
    commit = repo.commit()
    tree = syncer.sync()
    assert (await catalog.refresh()).revision == commit
    assert catalog.status().kind == "link" and catalog.tree() == tree


async def test_only_what_git_names_is_read(
    repo: Repo, syncer: Syncer, catalog_of: CatalogOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(50):
        repo.put(f"m{index}")
    repo.commit()
    syncer.sync()
    catalog = catalog_of(LinkSource(syncer.link))
    await catalog.refresh()
    repo.put("m7", displayName="new"), repo.put("extra"), repo.remove("m9")
    commit = repo.commit()
    syncer.sync()
    read: list[str] = []
    real = files._read_file
    monkeypatch.setattr(
        files, "_read_file", lambda root, path, *rest: read.append(path.name) or real(root, path, *rest)
    )
    snapshot = await catalog.refresh()
    assert sorted(read) == ["extra.json", "m7.json"]
    assert snapshot.revision == commit and len(snapshot.items) == 50 and "m9" not in snapshot.items
    assert snapshot.items["m7"].entry.display_name == "new"
    assert all(item.revision == commit for item in snapshot.items.values())


async def test_where_git_cannot_tell_everything_is_read(
    repo: Repo, tmp_path: Path, catalog_of: CatalogOf
) -> None:
    link = tmp_path / "link"
    for number in (1, 2):
        tree = tmp_path / (str(number) * 40) / "models"  # named like commits, but no repository knows them
        tree.mkdir(parents=True)
        (tree / "a.json").write_text(json.dumps({"id": "a", "hfModelId": "o/n", "displayName": str(number)}))
    catalog = catalog_of(LinkSource(link))
    for number in (1, 2, 1):
        link.unlink(missing_ok=True)
        link.symlink_to(str(number) * 40)
        snapshot = await catalog.refresh()
        assert snapshot.revision == str(number) * 40
        assert snapshot.items["a"].entry.display_name == str(number)


async def test_t2_a_link_to_nothing_keeps_what_is_served(
    repo: Repo, syncer: Syncer, catalog_of: CatalogOf
) -> None:
    repo.put("a")
    repo.commit()
    tree = syncer.sync()
    catalog = catalog_of(LinkSource(syncer.link))
    await catalog.refresh()
    tree.rename(tree.with_name("frozen"))
    with pytest.raises(Unavailable, match="leads to nothing"):
        await catalog.refresh()
    assert catalog.item("a") and catalog.status().stale_since
    tree.with_name("frozen").rename(tree)
    await catalog.refresh()
    assert catalog.status().error is None


async def test_t1_the_link_flips_while_it_is_read(repo: Repo, tmp_path: Path, catalog_of: CatalogOf) -> None:
    """Every entry carries its commit's number: a snapshot with two of them is a mix."""
    syncer = Syncer(repo, tmp_path / "flipped", keep=True)
    commits = []
    for number in range(2):
        for index in range(12):
            repo.put(f"m{index}", displayName=str(number))
        commits.append(repo.commit())
        syncer.sync()
    numbers = dict(zip(commits, "01", strict=True))
    stop = threading.Event()
    flips = 0

    def flip() -> None:
        nonlocal flips
        while not stop.is_set():
            syncer.flip(commits[flips % 2])
            flips += 1

    thread = threading.Thread(target=flip)
    thread.start()
    loads = 0
    try:
        while flips < 10_000 or loads < 5:
            catalog = catalog_of(LinkSource(syncer.link))
            try:
                snapshot = await catalog.refresh()
            except Unavailable:
                continue  # too fast for it, said so: no harm
            loads += 1
            said = {item.entry.display_name for item in snapshot.items.values()}
            assert said == {numbers[snapshot.revision]} and len(snapshot.items) == 12
    finally:
        stop.set()
        thread.join()


async def test_t1_the_tree_is_removed_while_it_is_read(
    repo: Repo, syncer: Syncer, catalog_of: CatalogOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.put("a"), repo.put("b")
    repo.commit()
    syncer.sync()
    catalog = catalog_of(LinkSource(syncer.link))
    repo.put("a", displayName="new")
    commit = repo.commit()
    real = files._read_file
    flips = iter([syncer.sync])

    def flip_once(*args: object) -> object:
        for sync in flips:
            sync()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_read_file", flip_once)
    snapshot = await catalog.refresh()
    assert snapshot.revision == commit
    assert snapshot.items["a"].entry.display_name == "new"


async def test_t11_a_rollback_is_accepted_and_noted(
    repo: Repo, syncer: Syncer, catalog_of: CatalogOf, events: EventLog
) -> None:
    repo.put("a", displayName="one")
    one = repo.commit()
    syncer.keep = True
    syncer.sync()
    catalog = catalog_of(LinkSource(syncer.link))
    await catalog.refresh()
    repo.put("a", displayName="two")
    two = repo.commit()
    syncer.sync()
    await catalog.refresh()
    repo.git("reset", "--quiet", "--hard", one)
    syncer.sync()
    assert (await catalog.refresh()).items["a"].entry.display_name == "one"
    (event, *_) = await events.page(kind="catalog_refreshed", newest_first=True)
    assert (event.data["previous"], event.data["revision"]) == (two, one)


async def test_callers_that_come_together_share_a_look(repo: Repo, catalog_of: CatalogOf) -> None:
    repo.put("a")
    repo.commit()
    source = FolderSource(repo.path)
    looks = 0
    real = source.fetch

    async def counted():  # type: ignore[no-untyped-def]
        nonlocal looks
        looks += 1
        return await real()

    source.fetch = counted  # type: ignore[method-assign]
    catalog = catalog_of(source)
    await asyncio.gather(*(catalog.refresh() for _ in range(20)))
    assert looks <= 2


async def test_run_sees_a_commit_by_itself(repo: Repo, database: Database, events: EventLog) -> None:
    repo.put("a")
    repo.commit()
    catalog = Catalog(FolderSource(repo.path), "models", database, events, interval=0.05)
    running = asyncio.create_task(catalog.run())
    await until(lambda: catalog.status().ready)
    repo.put("b")
    commit = repo.commit()
    await until(lambda: catalog.snapshot.revision == commit)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await catalog.aclose()


async def test_while_a_first_fetch_takes_long_what_is_remembered_is_served(
    repo: Repo, catalog_of: CatalogOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.put("a")
    commit = repo.commit()
    await catalog_of(FolderSource(repo.path)).refresh()
    source = FolderSource(repo.path)
    real, answer = source.fetch, asyncio.Event()

    async def slow():  # type: ignore[no-untyped-def]
        await answer.wait()
        return await real()

    source.fetch = slow  # type: ignore[method-assign]
    monkeypatch.setattr(catalog_module, "_PATIENCE", 0.05)
    catalog = catalog_of(source)
    running = asyncio.create_task(catalog.run())
    await until(lambda: catalog.status().ready)
    assert catalog.item("a").stale and catalog.item("a").revision == commit
    answer.set()
    await until(lambda: not catalog.item("a").stale)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_failures_are_looked_at_later_and_later(
    tmp_path: Path, database: Database, events: EventLog
) -> None:
    catalog = Catalog(FolderSource(tmp_path / "none"), "models", database, events, interval=30.0)
    assert catalog._delay() == 30.0
    delays = []
    for _ in range(8):
        with pytest.raises(Unavailable):
            await catalog.refresh()
        delays.append(catalog._delay())
    assert 24 <= delays[0] <= 36 and delays[2] > delays[0] and max(delays) <= 360
    assert len(await events.page(kind="catalog_problem")) == 1, "the same failure is told once"


async def test_the_age_counts_from_the_last_good_look(
    repo: Repo, database: Database, events: EventLog
) -> None:
    now = [1000.0]
    repo.put("a")
    repo.commit()
    catalog = Catalog(FolderSource(repo.path), "models", database, events, 30.0, clock=lambda: now[0])
    await catalog.refresh()
    repo.path.rename(repo.path.with_name("away"))
    now[0] += 90
    with pytest.raises(Unavailable):
        await catalog.refresh()
    assert catalog.status().age_seconds == 90.0


class Remote:
    """A source whose looks take as long as the test wants: what a look finds is what was there when it began."""

    kind = location = "remote"

    def __init__(self, folder: Path) -> None:
        self.newest = Tree(folder / "1", "1" * 40, commit=True)
        self.looks = 0
        self.answer = asyncio.Event()
        for name in "12":
            (folder / name / "models").mkdir(parents=True)
            (folder / name / "models/a.json").write_text(json.dumps({"id": "a", "hfModelId": f"o/{name}"}))

    async def fetch(self) -> Tree:
        self.looks += 1
        self._found = self.newest
        await self.answer.wait()
        return self._found

    async def current(self) -> Tree:
        return self._found

    async def changed(self, old: Tree, new: Tree, folder: str) -> list[str] | None:
        return None

    async def aclose(self) -> None:
        pass


async def test_a_look_that_began_before_a_commit_does_not_answer_for_it(
    tmp_path: Path, catalog_of: CatalogOf
) -> None:
    remote = Remote(tmp_path / "remote")
    catalog = catalog_of(remote)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(catalog.refresh())
        await until(lambda: remote.looks == 1)
        remote.newest = Tree(tmp_path / "remote/2", "2" * 40, commit=True)
        later = [group.create_task(catalog.refresh()) for _ in range(2)]
        await asyncio.sleep(0)  # until they wait
        remote.answer.set()
    assert first.result().revision == "1" * 40
    assert [each.result().revision for each in later] == ["2" * 40] * 2
    assert remote.looks == 2, "those that came meanwhile share one look"


async def test_a_refresh_in_the_background_is_one_look_more_however_often_it_is_asked_for(
    repo: Repo, catalog_of: CatalogOf, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.put("a")
    first = repo.commit()
    source = FolderSource(repo.path)
    looks, go_on = [], asyncio.Event()
    fetch = source.fetch

    async def slow() -> Tree:
        looks.append(1)
        await go_on.wait()
        return await fetch()

    monkeypatch.setattr(source, "fetch", slow)
    catalog = catalog_of(source)
    catalog.refresh_soon("webhook:github")
    await until(lambda: looks)
    for _ in range(5):
        catalog.refresh_soon("webhook:gitlab")
    go_on.set()
    await until(lambda: catalog.status().revision == first and len(looks) == 2)
    (event,) = await events.page(kind="catalog_refreshed")
    assert event.actor == "webhook:github"
    await catalog.aclose()


async def test_a_refresh_in_the_background_that_fails_is_in_the_status(
    tmp_path: Path, catalog_of: CatalogOf
) -> None:
    catalog = catalog_of(FolderSource(tmp_path / "nothing"))
    catalog.refresh_soon("webhook:github")
    await until(lambda: catalog.status().error)
    assert "is not there" in (catalog.status().error or "")
    assert catalog.status().hint == "It is read as soon as it appears; is the path right?"
