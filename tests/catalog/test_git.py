"""Following a Git URL: fetches, worktrees, the link, failures, and credentials that show up nowhere."""

import asyncio
import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog import credential, gitcommand
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.git import GitSource
from model_manager.catalog.gitcommand import git
from model_manager.catalog.gitfailure import GitFailed, failure
from model_manager.catalog.source import open_source
from model_manager.catalog.tree import Source
from model_manager.errors import SettingsError, Unavailable
from tests.catalog.conftest import Repo, run
from tests.catalog.gitserver import GitServer
from tests.waiting import until

CANARY = "ghp_canary0123456789"
CatalogOf = Callable[[Source], Catalog]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def served(repo: Repo) -> Repo:
    repo.put("a")
    repo.commit()
    return repo


def trees(work: Path) -> set[str]:
    return {tree.name for tree in (work / "trees").iterdir()}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_a_repository_on_this_machine(
    served: Repo, work: Path, catalog_of: CatalogOf, form: str
) -> None:
    catalog = catalog_of(open_source(None, form.format(served.path), work_folder=work))
    first = await catalog.refresh()
    assert first.revision == served.git("rev-parse", "HEAD")
    assert catalog.tree() == work / "trees" / first.revision
    assert (work / "current").readlink() == Path("trees") / first.revision
    assert catalog.status().kind == "git"
    served.put("b")
    second = served.commit()
    assert list((await catalog.refresh()).items) == ["a", "b"]
    assert (work / "current").resolve().name == second
    await catalog.aclose()


async def test_the_fetch_is_shallow_and_old_trees_go(served: Repo, work: Path) -> None:
    for number in range(5):
        served.put("a", displayName=str(number))
        served.commit()
    source = GitSource(f"file://{served.path}", "HEAD", work)
    commits = []
    for number in range(5):
        served.put("b", displayName=str(number))
        commits.append(served.commit())
        assert (await source.fetch()).revision == commits[-1]
    assert trees(work) == set(commits[-2:]), "the one before stays for who is still reading in it"
    assert run("git", "log", "--format=%H", "model-manager/new", cwd=work / "repo.git") == commits[-1]
    assert (
        len(run("git", "worktree", "list", cwd=work / "repo.git").splitlines()) == 3
    )  # and the bare repository


async def test_only_what_git_names_is_read_from_a_new_tree(served: Repo, work: Path) -> None:
    source = GitSource(str(served.path), "main", work)
    old = await source.fetch()
    served.put("b"), served.put("a", displayName="new")
    (served.path / "README.md").write_text("x")
    served.commit()
    new = await source.fetch()
    assert await source.changed(old, new, "models") == ["a.json", "b.json"]


async def test_t11_a_force_push_and_another_branch(served: Repo, work: Path) -> None:
    first = served.git("rev-parse", "HEAD")
    served.put("b")
    second = served.commit()
    served.git("branch", "other", first)
    served.git("tag", "--annotate", "--message", "x", "v1", first)
    source = GitSource(str(served.path), "main", work)
    assert (await source.fetch()).revision == second
    served.git("reset", "--quiet", "--hard", first)
    assert (await source.fetch()).revision == first
    assert (await GitSource(str(served.path), "other", work).fetch()).revision == first
    assert (await GitSource(str(served.path), "v1", work).fetch()).revision == first
    assert (await GitSource(f"file://{served.path}", second, work).fetch()).revision == second


async def test_failures_keep_the_last_revision(served: Repo, work: Path, catalog_of: CatalogOf) -> None:
    catalog = catalog_of(GitSource(str(served.path), "HEAD", work))
    snapshot = await catalog.refresh()
    served.path.rename(served.path.with_name("away"))
    with pytest.raises(Unavailable, match="cannot be fetched: there is no such repository"):
        await catalog.refresh()
    assert catalog.snapshot is snapshot and catalog.item("a")
    status = catalog.status()
    assert status.error and status.stale_since and status.revision == snapshot.revision

    again = catalog_of(GitSource(str(served.path), "HEAD", work))  # a restart without the network
    with pytest.raises(Unavailable):
        await again.refresh()
    assert again.item("a").stale and again.item("a").revision == snapshot.revision


async def test_a_missing_branch_says_so(served: Repo, work: Path) -> None:
    with pytest.raises(Unavailable, match="the branch, tag or commit does not exist there"):
        await GitSource(str(served.path), "nope", work).fetch()


async def test_an_empty_repository_says_so(tmp_path: Path, work: Path) -> None:
    run("git", "init", "--quiet", "--bare", str(tmp_path / "empty.git"))
    with pytest.raises(Unavailable, match="does not exist there"):
        await GitSource(str(tmp_path / "empty.git"), "HEAD", work).fetch()


DAMAGES: dict[str, Callable[[Path, str], Any]] = {
    "a lock of a killed git": lambda work, commit: (work / "repo.git/shallow.lock").touch(),
    "half a checkout": lambda work, commit: (work / f"trees/.new-{commit}/models").mkdir(parents=True),
    "an edited tree": lambda work, commit: (work / f"trees/{commit}/models/a.json").write_text("{"),
    "a strange file": lambda work, commit: (work / f"trees/{commit}/models/z.json").write_text("{}"),
    "an emptied tree": lambda work, commit: (work / f"trees/{commit}/models/a.json").unlink(),
    "no repository": lambda work, commit: (work / "repo.git").rename(work / "gone"),
    "an empty HEAD": lambda work, commit: (work / "repo.git/HEAD").write_text(""),
    "no objects": lambda work, commit: (work / "repo.git/objects").rename(work / "gone"),
    "no link": lambda work, commit: (work / "current").unlink(),
    "a link left over": lambda work, commit: (work / ".current.new").symlink_to("x"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_work_folder_mends_itself(
    served: Repo, work: Path, damage: Callable[[Path, str], Any]
) -> None:
    commit = (await GitSource(f"file://{served.path}", "HEAD", work).fetch()).revision
    damage(work, commit)
    tree = await GitSource(f"file://{served.path}", "HEAD", work).fetch()
    assert tree.revision == commit
    assert [path.name for path in (tree.path / "models").iterdir()] == ["a.json"]
    assert "owner/name" in (tree.path / "models/a.json").read_text()
    assert (work / "current").resolve() == tree.path


async def test_hooks_and_programs_of_a_repository_do_not_run(
    served: Repo, work: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    (served.path / ".gitattributes").write_text("*.json filter=evil diff=evil\n")
    served.commit()
    source = GitSource(str(served.path), "HEAD", work)
    await source.fetch()
    hook = work / "repo.git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    served.put("b")
    served.commit()
    await source.fetch()
    assert not mark.exists()


REFUSED = {
    "--upload-pack=touch x": "begins with `-`",
    "ext::sh -c true": "white space",
    "ext::sh%20-c": "is not one that may be used",
    "ext://x/y": "cannot be fetched by ext://",
    "git://host/x": "cannot be fetched by git://",
    "ftp://host/x": "cannot be fetched by ftp://",
    "ssh://-oProxyCommand=x/y": "begins with `-`",
    "ssh://-x@host/y": "begins with `-`",
    "relative/path": "is not one that may be used",
    f"https://ann:{CANARY}@host/x": "holds a user name or password",
    f"https://{CANARY}@host/x": "holds a user name or password",
    f"ssh://ann:{CANARY}@host/x": "holds a user name or password",
    "file://host/x": "names a path on this machine",
    "https://[::1/x": "cannot be read",
}


@pytest.mark.parametrize(("url", "expected"), REFUSED.items(), ids=REFUSED.values())
def test_urls_that_must_not_be_used(work: Path, url: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        GitSource(url, "HEAD", work)
    assert expected in refused.value.sentence
    assert CANARY not in refused.value.sentence + refused.value.hint
    assert not work.exists()


def test_a_token_does_not_go_over_http(work: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="over http"):
        GitSource("http://git.example.org/x", "HEAD", work, tmp_path / "token")
    GitSource("http://git.example.org/x", "HEAD", work)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/x.git",
        "ssh://git@host/x",
        "git@host:owner/x.git",
        "host:x",
        "/srv/x.git",
        "file:///srv/x",
    ],
)
def test_urls_that_may_be_used(work: Path, url: str) -> None:
    assert GitSource(url, "v1.2/x", work).location == url


@pytest.mark.parametrize("ref", ["-x", "a..b", "a b", "+main:x", "main:refs/heads/x", "", "@{u}", "a" * 300])
def test_refs_that_must_not_be_used(work: Path, ref: str) -> None:
    with pytest.raises(SettingsError):
        GitSource("/srv/x", ref, work)


@pytest.fixture
def server(served: Repo) -> Iterator[GitServer]:
    server = GitServer(served.path.parent, "x-access-token", CANARY)
    yield server
    server.close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "it's a token"  # a name that a shell would trip over
    path.write_text(CANARY + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
async def seen(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """Command lines and environments of all that is started."""
    lines: list[str] = []
    real = asyncio.create_subprocess_exec

    async def watched(*args: Any, **keywords: Any) -> Any:
        lines.append(" ".join(map(str, args)) + repr(keywords.get("env")))
        return await real(*args, **keywords)

    monkeypatch.setattr(gitcommand.asyncio, "create_subprocess_exec", watched)
    yield lines


async def test_u6_the_token_is_used_and_shows_up_nowhere(
    served: Repo,
    server: GitServer,
    token: Path,
    work: Path,
    catalog_of: CatalogOf,
    seen: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", CANARY)
    caplog.set_level(logging.DEBUG)
    source = GitSource(f"{server.url}/repo/.git", "HEAD", work, token)
    catalog = catalog_of(source)
    assert "a" in (await catalog.refresh()).items
    token.write_text("wrong\n")  # rotated: it is read anew each time
    served.put("b")
    served.commit()
    with pytest.raises(Unavailable) as error:
        await catalog.refresh()
    assert "wants credentials or refused them" in error.value.sentence
    token.write_text(CANARY)
    assert "b" in (await catalog.refresh()).items

    said = [*seen, caplog.text, repr(catalog.status()), repr(error.value), error.value.hint]
    written = [path.read_bytes().decode("latin-1") for path in work.rglob("*") if path.is_file()]
    assert len(seen) > 5 and not any(CANARY in text for text in (*said, *written))


async def test_u7_the_token_does_not_follow_a_redirect_to_another_host(
    served: Repo, server: GitServer, token: Path, work: Path
) -> None:
    other = GitServer(served.path.parent, "x-access-token", CANARY)
    try:
        server.redirect = other.url
        with pytest.raises(Unavailable):
            await GitSource(f"{server.url}/repo/.git", "HEAD", work, token).fetch()
        assert other.requests and not any(with_token for _, with_token in other.requests)
    finally:
        other.close()


async def test_without_credentials_nothing_asks_for_them(server: GitServer, work: Path) -> None:
    with pytest.raises(Unavailable) as error:
        await GitSource(f"{server.url}/repo/.git", "HEAD", work).fetch()
    assert "wants credentials" in error.value.sentence and "credentials file" in error.value.hint


async def test_u10_a_credentials_file_is_there_and_private(
    served: Repo, work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    source = GitSource(str(served.path), "HEAD", work, path)
    with pytest.raises(Unavailable, match="token cannot be read: No such file"):
        await source.fetch()
    path.write_text(CANARY)
    path.chmod(0o644)
    await source.fetch()
    await source.fetch()
    assert [record.getMessage() for record in caplog.records] == [
        f"everybody on this machine can read {path}: chmod 600 it"
    ]


CREDENTIALS = {
    "abc\n": ("x-access-token", "abc"),
    "\n  abc  \n\n": ("x-access-token", "abc"),
    "ann\nabc\n": ("ann", "abc"),
    "username=ann\ntoken=a=b:c\n": ("ann", "a=b:c"),
    "token: abc": ("x-access-token", "abc"),
    "username = ann\npassword = abc": ("ann", "abc"),
    "# comment\nabc": ("x-access-token", "abc"),
    "": ("", ""),
    "a\nb\nc\n": ("", ""),
}


@pytest.mark.parametrize(("text", "expected"), CREDENTIALS.items())
def test_forms_of_a_credentials_file(text: str, expected: tuple[str, str]) -> None:
    assert credential.read(text) == expected


def test_the_helper_answers_for_its_own_server_only(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")

    def ask(question: str, verb: str = "get") -> str:
        command = [sys.executable, "-I", credential.__file__, str(tmp_path / "token"), "https", "host", verb]
        return subprocess.run(command, input=question, capture_output=True, text=True, check=True).stdout

    assert ask("protocol=https\nhost=host\n\n") == "username=x-access-token\npassword=abc\n"
    assert ask("protocol=https\nhost=evil\n\n") == ""
    assert ask("protocol=http\nhost=host\n\n") == ""
    assert ask("protocol=https\nhost=host\n\n", "store") == ""


def test_what_git_says_becomes_a_sentence_without_secrets() -> None:
    error = failure("fetch", "fatal: unable to access 'https://ann:geheim@host/x': strange thing\n")
    assert "strange thing" in error.sentence and "geheim" not in error.sentence + error.stderr
    assert "resolved" in failure("fetch", "fatal: Could not resolve host: nope").sentence
    assert failure("fetch", "").sentence == "git fetch failed: it gave no reason"


async def test_a_git_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin/git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nsleep 600 & echo $! > " + str(tmp_path / "child") + "\nwait\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(GitFailed, match="took longer"):
        await git("fetch", timeout=0.5)
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    await until(lambda: not child.exists() or re.search(r"\) [ZX] ", child.read_text()))


async def test_without_git_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, served: Repo, work: Path
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable) as error:
        await GitSource(str(served.path), "HEAD", work).fetch()
    assert "git is not installed" in error.value.sentence
