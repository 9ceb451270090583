"""What an install will do, before a byte moves: the files, where each comes from, what it must hash to."""

from fnmatch import fnmatchcase
from typing import Any, Protocol

from msgspec import Struct

from model_manager.errors import Unprocessable
from model_manager.weights.names import check_files, missing_shards, shown


class PlannedFile(Struct, frozen=True, kw_only=True):
    """One file to move: `size` in bytes; from `url`, or from the file `local` of this machine.

    `sha256` is what the source promises; small files of the Hub come with `git_sha1` (the hash of a Git blob)
    instead, and plain local files with neither: then what was read is what is recorded.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    url: str | None = None
    local: str | None = None


class Access(Struct, frozen=True):
    """How to reach the URLs of a plan.

    `token` goes to `origin` (scheme, host, port) and nowhere else. `commit` is what a Hub must name in
    `X-Repo-Commit`. `allow_http` opens plain HTTP for loopback hosts.
    """

    origin: tuple[str, str, int] | None = None
    token: str | None = None
    commit: str | None = None
    allow_http: bool = False

    def __repr__(self) -> str:
        return f"Access(origin={self.origin}, token={'set' if self.token else None})"


class Plan(Struct, frozen=True, kw_only=True):
    """Everything `transfer` needs. `source` goes into the weights manifest as it is.

    `revision` is the commit; None where the source has none: then the content names it (`content_revision`).
    """

    source: dict[str, Any]
    revision: str | None
    files: tuple[PlannedFile, ...]
    access: Access = Access()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Control(Protocol):
    """What a worker hears from the service while it works (`jobs.worker.Control`)."""

    @property
    def cancelled(self) -> bool: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def paused(self) -> bool: ...
    def check(self) -> None: ...
    def log(self, text: str) -> None: ...


def chosen(files: list[PlannedFile], patterns: tuple[str, ...], where: str) -> tuple[PlannedFile, ...]:
    """The files an entry wants, checked, smallest first: all of them, or those that match one of its globs.

    `*` also matches `/`, and `folder/` means everything below it, as in huggingface_hub's allow-lists.
    Raises Unprocessable when nothing is left or a shard is missing, InvalidRequest for hostile names.
    """
    check_files(file.path for file in files)
    globs = tuple(pattern + "*" if pattern.endswith("/") else pattern for pattern in patterns)
    picked = [f for f in files if not globs or any(fnmatchcase(f.path, glob) for glob in globs)]
    if not picked:
        names = ", ".join(shown(file.path) for file in files[:8]) or "none"
        wanted = f" that matches {', '.join(map(shown, patterns))}" if patterns else ""
        raise Unprocessable(f"{where} holds no file{wanted}.", f"Its files: {names}.")
    if missing := missing_shards(file.path for file in picked):
        raise Unprocessable(
            f"{where} lacks {shown(missing[0])}, one of the parts of a model split over several files.",
            "Widen the entry's `files`, or wait until the repository is complete.",
            missing=missing,
        )
    return tuple(sorted(picked, key=lambda file: (file.size, file.path)))
