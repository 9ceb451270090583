"""The catalog of a service on a cluster is the link that git-sync keeps beside it."""

from pathlib import Path
from typing import Any

from testcluster import Namespace

from model_manager.serving.manifest import REVISION_ANNOTATION
from tests.catalog.conftest import Repo, Syncer, run
from tests.cluster.ground import SLOT
from tests.cluster.house import house, prepare, uids
from tests.house import write_catalog


async def test_the_catalog_link_flips_on_a_push_and_the_pushed_model_is_served(
    namespace: Namespace, tmp_path: Path
) -> None:
    await prepare(namespace, tmp_path, {})
    origin, ours = Repo(tmp_path / "origin"), tmp_path / "ours"
    origin.git("config", "receive.denyCurrentBranch", "updateInstead")
    syncer = Syncer(origin, tmp_path / "sync")
    write_catalog(origin.path, {"good": "well"})
    first = origin.commit()
    run("git", "clone", "--quiet", str(origin.path), str(ours))
    syncer.sync()

    def push(**models: Any) -> str:
        """Commit and push to the origin, as people do; git-sync then flips its link within its period."""
        write_catalog(ours, dict.fromkeys(models, "well"), **models)
        run("git", "add", "--all", cwd=ours)
        run("git", *AUTHOR, "commit", "--quiet", "--message", "change", cwd=ours)
        run("git", "push", "--quiet", cwd=ours)
        syncer.sync()
        return run("git", "rev-parse", "HEAD", cwd=ours)

    async with house(namespace, tmp_path, catalog_root=syncer.link, catalog_refresh_interval=0.5) as h:
        await h.active("good")
        assert await revision_of(namespace) == first
        before = await uids(namespace)

        second = push(good={"displayName": "Good, again"}, fresh={})
        await namespace.wait(lambda: is_at(h, second))
        assert await uids(namespace) == before, "a push restarts nothing"
        assert (await h.chat())[1]["model"] == "good"

        await h.active("fresh")
        assert (await h.chat())[1]["model"] == "fresh"
        assert await revision_of(namespace) == second

        third = push(fresh={"id": "another name than its file's"})
        await namespace.wait(lambda: is_at(h, third))
        assert h.parts.catalog.item("fresh").revision == second, (
            "an entry that breaks keeps its last good version"
        )
        assert (await h.chat())[1]["model"] == "fresh"
        await h.active("good")


AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")


async def is_at(h: Any, revision: str) -> bool:
    return bool(h.parts.catalog.status().revision == revision)


async def revision_of(namespace: Namespace) -> str:
    isvc = await namespace.isvc(SLOT)
    assert isvc is not None
    return str(isvc["metadata"]["annotations"][REVISION_ANNOTATION])
