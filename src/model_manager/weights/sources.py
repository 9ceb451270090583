"""Any source -> a plan. The Hub has its own file; here are `file:` and `https:`."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from model_manager.catalog.entry import SourceFile
from model_manager.errors import Forbidden, ModelManagerError, NotFound, Unprocessable, UpstreamError
from model_manager.weights.fetch import Again, Fetcher, check_url
from model_manager.weights.hub import DEFAULT_ENDPOINT, plan_hub
from model_manager.weights.names import check_files, shown
from model_manager.weights.plan import Access, Plan, PlannedFile, chosen
from model_manager.weights.uri import FileSource, HubSource, WebSource, WeightSource

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def plan_for(
    source: WeightSource,
    patterns: tuple[str, ...] = (),
    *,
    tree: Path | None = None,
    file_roots: tuple[Path, ...] = (),
    endpoint: str = DEFAULT_ENDPOINT,
    token: str | None = None,
    allow_http: bool = False,
) -> Plan:
    """The files a source holds, at one revision, with all that is known of them. Moves no weights.

    `patterns` are an entry's `files` globs, `tree` the catalog's folder, `file_roots` the folders outside it
    that the operator allows. `endpoint` and `token` are the Hub's. Raises a ModelManagerError with a sentence.
    """
    check_files(pin.path for pin in source.pins)
    if isinstance(source, HubSource):
        return plan_hub(source, patterns, endpoint=endpoint, token=token, allow_http=allow_http)
    if isinstance(source, WebSource):
        files, access = list(_web_files(source, allow_http)), Access(allow_http=allow_http)
    else:
        files, access = _local_files(source, tree, file_roots), Access()
    record: dict[str, Any] = {"uri": source.uri}
    if patterns:
        record["files"] = list(patterns)
    return Plan(source=record, revision=None, files=chosen(files, patterns, source.uri), access=access)


def _web_files(source: WebSource, allow_http: bool) -> Iterator[PlannedFile]:
    """A URL is the file itself when the entry lists one and it does not end in `/`; else their folder."""
    check_url(source.url, allow_http)
    parts = urlsplit(source.url)
    is_file = len(source.pins) == 1 and not parts.path.endswith("/")
    with Fetcher(Access(allow_http=allow_http)) as fetcher:
        for pin in source.pins:
            below = "" if is_file else "/" + quote(pin.path)
            path = parts.path if is_file else parts.path.rstrip("/")
            url = parts._replace(path=path + below, fragment="").geturl()
            size = pin.size if pin.size is not None else _asked_size(fetcher, url, pin)
            yield PlannedFile(path=pin.path, size=size, sha256=pin.sha256, url=url)


def _asked_size(fetcher: Fetcher, url: str, pin: SourceFile) -> int:
    try:
        size = fetcher.size(url)
    except Again as again:
        raise again.final from again
    except UpstreamError:  # it knows no HEAD
        size = None
    if size is None:
        raise Unprocessable(
            f"The server does not say how large {shown(pin.path)} is.",
            "Give its `size` in bytes beside the sha256.",
        )
    return size


def _local_files(source: FileSource, tree: Path | None, file_roots: tuple[Path, ...]) -> list[PlannedFile]:
    roots = _roots(source, tree, file_roots)
    top = _resolved(roots[0] / source.path, roots, source.path)
    if not top.is_dir():
        if len(source.pins) > 1:
            raise Unprocessable(f"{source.uri} is one file, and the entry lists {len(source.pins)}.")
        pin = source.pins[0] if source.pins else SourceFile(path=top.name)
        return [_local_file(top, pin)]
    pins = source.pins or tuple(SourceFile(path=name) for name in sorted(_names_below(top)))
    return [_local_file(_resolved(top / pin.path, roots, pin.path), pin) for pin in pins]


def _roots(source: FileSource, tree: Path | None, file_roots: tuple[Path, ...]) -> tuple[Path, ...]:
    """The folders that the files may lie in, resolved; the first is what a relative path starts from."""
    if source.path.startswith("/"):
        if not file_roots:
            raise Forbidden(
                f"{source.uri} lies outside the catalog, and no folder of this machine is an allowed source.",
                "Put the file into the catalog's repository, or let the operator allow its folder.",
                retryable=False,
            )
        return tuple(root.resolve() for root in file_roots)
    if tree is None:
        raise Unprocessable(f"{source.uri} is relative to a catalog, and no catalog was read.")
    try:
        return (tree.resolve(strict=True),)
    except OSError as error:
        raise NotFound(
            "The catalog's folder that this install was asked from is gone.", "Ask again.", retryable=False
        ) from error


def _resolved(path: Path, roots: tuple[Path, ...], name: str) -> Path:
    """The real file behind a path, when it lies in one of the roots; symlinks that lead out are refused."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a symlink loop, before Python 3.13
        raise NotFound(f"{shown(name)} does not exist in the source.", retryable=False) from error
    # by parts, not by prefix: /srv/models-x is not below /srv/models
    inside = [real.relative_to(root) for root in roots if real.is_relative_to(root)]
    if not inside or any(".git" in below.parts for below in inside):
        raise Forbidden(
            f"{shown(name)} leads out of the folders that weights may come from.",
            "Symlinks and `..` may leave neither the catalog nor a folder the operator allowed, and enter no `.git`.",
            retryable=False,
        )
    return real


def _names_below(top: Path) -> Iterator[str]:
    """Files of a folder, by their path in it. Folders behind symlinks are not entered, nor is Git's own."""
    for folder, folders, names in os.walk(top, followlinks=False):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            if name != ".git":
                yield (Path(folder) / name).relative_to(top).as_posix()


def _local_file(path: Path, pin: SourceFile) -> PlannedFile:
    try:
        info = path.stat()
        head = b""
        if stat.S_ISREG(info.st_mode) and info.st_size < 1024:
            head = path.read_bytes()
    except OSError as error:
        cause = os.strerror(error.errno or 0)
        raise NotFound(f"{shown(pin.path)} could not be read: {cause}.", retryable=False) from error
    if problem := _local_problem(info, head, pin):
        raise problem
    return PlannedFile(path=pin.path, size=info.st_size, sha256=pin.sha256, local=str(path))


def _local_problem(info: os.stat_result, head: bytes, pin: SourceFile) -> ModelManagerError | None:
    if not stat.S_ISREG(info.st_mode):
        return Unprocessable(f"{shown(pin.path)} in the source is not a plain file.")
    if head.startswith(_LFS_POINTER):
        return Unprocessable(
            f"{shown(pin.path)} is a Git LFS pointer, not the file itself.",
            "The catalog is read without Git LFS: give the weights another source.",
        )
    if pin.size is not None and pin.size != info.st_size:
        return Unprocessable(f"{shown(pin.path)} has {info.st_size} bytes, and the entry says {pin.size}.")
    return None
