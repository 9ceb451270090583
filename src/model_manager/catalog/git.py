"""A catalog behind a Git URL, which the service keeps in step itself.

    work_folder/repo.git              bare, shallow: the commits of now and before
    work_folder/trees/<commit>/       a worktree for each of the two
    work_folder/current -> trees/…    flipped by rename, as git-sync does it, for people and other programs

All of it can be deleted at any time: the next fetch makes it anew.
"""

import asyncio
import contextlib
import logging
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from model_manager.catalog import credential
from model_manager.catalog.gitcommand import changed_names, git
from model_manager.catalog.gitfailure import GitFailed
from model_manager.catalog.giturl import checked_url
from model_manager.catalog.tree import Tree
from model_manager.errors import SettingsError, Unavailable

log = logging.getLogger(__name__)

_NEW = "refs/model-manager/new"
_CURRENT = "refs/model-manager/current"
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/@+-]{0,254}")
_DAMAGE = re.compile(
    r"bad object|corrupt|unable to read|invalid object|loose object|not a git repository|\.lock'|"
    r"did not send all necessary objects|is empty|bad (config|packed|ref)|broken",
    re.IGNORECASE,
)
_TRANSPORTS = ("-c", "protocol.allow=never", "-c", "protocol.https.allow=always", "-c", "protocol.http.allow=always",
               "-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always")  # fmt: skip


class GitSource:
    """Follows `ref` of a repository by shallow fetches.

    Credentials come from a file (token, or user name and token, or an SSH key), are read by git's helper when git
    asks, and appear in no command line, environment, log or error. Raises SettingsError for a URL or ref that must
    not be used.
    """

    kind = "git"

    def __init__(
        self,
        url: str,
        ref: str,
        work_folder: Path,
        credentials_file: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.location = checked_url(url, credentials_file is not None)
        if not _REF.fullmatch(ref) or ".." in ref:
            raise SettingsError(f"{ref[:60]!r} is no Git branch, tag or commit.")
        self._url = url
        self._ref = ref
        self._repo = work_folder / "repo.git"
        self._trees = work_folder / "trees"
        self._link = work_folder / "current"
        self._credentials = credentials_file
        self._environment = dict(environment or {})
        self._timeout = timeout
        self._opened = False
        self._verified = ""
        self._warned = False

    async def fetch(self) -> Tree:
        """Fetch the ref, check out its commit beside the old tree, and flip the link to it."""
        await self._open()
        self._check_credentials()
        try:
            commit = await self._fetch_commit()
        except GitFailed as error:
            if not _DAMAGE.search(error.stderr):
                raise _told(error, self.location) from error
            await self._start_over()
            try:
                commit = await self._fetch_commit()
            except GitFailed as again:
                raise _told(again, self.location) from again
        try:
            return await self._check_out(commit)
        except (GitFailed, OSError) as error:
            raise _told(error, self.location) from error

    async def current(self) -> Tree:
        """Where our own link leads; nobody else moves it."""
        try:
            tree = self._link.resolve(strict=True)
        except OSError as error:
            raise Unavailable(f"The catalog {self.location} has not been fetched yet.") from error
        return Tree(tree, tree.name, commit=True)

    async def changed(self, old: Tree, new: Tree, folder: str) -> list[str] | None:
        """What Git says differs; the commit before stays in the repository for this."""
        return await changed_names(new.path, old.revision, new.revision, folder)

    async def aclose(self) -> None:
        """Nothing is open between two fetches."""

    async def _open(self) -> None:
        """Once for each process: clear what a kill -9 may have left, then make what is missing."""
        if self._opened:
            return
        try:
            self._trees.mkdir(parents=True, exist_ok=True)
            for lock in self._repo.rglob("*.lock"):
                lock.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(
                f"The catalog's folder {self._trees.parent} cannot be used: {error.strerror}."
            ) from error
        if not (self._repo / "HEAD").exists():
            await self._start_over()
        self._opened = True

    def _check_credentials(self) -> None:
        if not self._credentials:
            return
        try:
            mode = self._credentials.stat().st_mode
            self._credentials.open("rb").close()
        except OSError as error:
            raise Unavailable(
                f"The catalog {self.location} cannot be fetched: "
                f"the credentials file {self._credentials} cannot be read: {error.strerror}.",
                "Check its path, owner and permissions.",
            ) from error
        if mode & 0o007 and not self._warned:
            log.warning("everybody on this machine can read %s: chmod 600 it", self._credentials)
            self._warned = True

    async def _start_over(self) -> None:
        """A new, empty repository. The trees stay: the current one is what is served until there is a new one."""
        self._verified = ""
        await asyncio.to_thread(shutil.rmtree, self._repo, ignore_errors=True)
        await git("init", "--quiet", "--bare", "--template=", str(self._repo))

    async def _fetch_commit(self) -> str:
        await git(
            "fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--no-recurse-submodules",
            "--", self._url, f"+{self._ref}:{_NEW}",
            cwd=self._repo, options=self._options(), extra=self._extra(), timeout=self._timeout,
        )  # fmt: skip
        return (await git("rev-parse", "--verify", "--quiet", f"{_NEW}^{{commit}}", cwd=self._repo)).strip()

    async def _check_out(self, commit: str) -> Tree:
        tree = self._trees / commit
        if self._verified != commit and not await self._is_whole(tree, commit):
            await self._remove(tree)
            fresh = self._trees / f".new-{commit}"
            await self._remove(fresh)
            await git("worktree", "prune", cwd=self._repo)
            await git("worktree", "add", "--quiet", "--force", "--detach", str(fresh), commit, cwd=self._repo)
            # complete only under its name: a kill -9 in a checkout leaves a `.new-…` that nobody reads
            await git("worktree", "move", str(fresh), str(tree), cwd=self._repo)
        self._verified = commit
        before = self._link.readlink().name if self._link.is_symlink() else ""
        if before != commit:
            self._flip(commit)
            # keeps the objects of both from being pruned, so that they can be compared
            await git("update-ref", f"{_CURRENT}-{commit}", commit, cwd=self._repo)
            await self._clean({commit, before})
        return Tree(tree.resolve(), commit, commit=True)

    async def _is_whole(self, tree: Path, commit: str) -> bool:
        """Is the tree there, and untouched by whoever can write to it?"""
        if not tree.is_dir():
            return False
        try:
            status = await git(
                "--no-optional-locks", "status", "--porcelain", "--untracked-files=all", cwd=tree
            )
            head = await git("rev-parse", "HEAD", cwd=tree)
        except GitFailed:
            return False
        return not status and head.strip() == commit

    def _flip(self, commit: str) -> None:
        temporary = self._link.with_name(".current.new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(Path("trees") / commit)
        temporary.replace(self._link)

    async def _clean(self, keep: set[str]) -> None:
        """Remove all trees and refs but these: what is served now, and what readers may still be in."""
        for tree in list(self._trees.iterdir()):
            if tree.name not in keep:
                await self._remove(tree)
        await git("worktree", "prune", "--expire=now", cwd=self._repo)
        refs = await git("for-each-ref", "--format=%(refname)", f"{_CURRENT}-*", cwd=self._repo)
        for ref in refs.split():
            if ref.rpartition("-")[2] not in keep:
                await git("update-ref", "-d", ref, cwd=self._repo)
        with contextlib.suppress(GitFailed):
            await git("gc", "--quiet", "--auto", "--prune=now", options=("-c", "gc.auto=500"), cwd=self._repo)

    async def _remove(self, tree: Path) -> None:
        if tree.is_symlink() or tree.is_file():
            tree.unlink()
        elif tree.exists():
            await asyncio.to_thread(shutil.rmtree, tree)

    def _options(self) -> tuple[str, ...]:
        """Transports that may be used, and our helper as the only one: nobody else's may store our token."""
        if not self._credentials or not self._url.startswith(("https:", "http:")):
            return _TRANSPORTS
        parts = urlsplit(self._url)
        command = [
            sys.executable,
            "-I",
            credential.__file__,
            str(self._credentials.absolute()),
            parts.scheme,
            parts.netloc,
        ]
        helper = "!" + " ".join(shlex.quote(word) for word in command)
        return (*_TRANSPORTS, "-c", "credential.helper=", "-c", f"credential.helper={helper}")

    def _extra(self) -> dict[str, str]:
        ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
        if self._credentials and not self._url.startswith(("https:", "http:", "file:")):
            ssh += ["-o", "IdentitiesOnly=yes", "-i", str(self._credentials.absolute())]
        return {"GIT_SSH_COMMAND": shlex.join(ssh)} | self._environment


def _told(error: Exception, location: str) -> Unavailable:
    reason = error.sentence if isinstance(error, Unavailable) else str(getattr(error, "strerror", error))
    hint = error.hint if isinstance(error, Unavailable) else ""
    return Unavailable(f"The catalog {location} cannot be fetched: {reason[:1].lower()}{reason[1:]}", hint)
