"""Reads a BoltDB file, as bbolt (the Go library) writes it, without changing a byte of it.

The format, from bbolt's own source: numbered pages of one size. Two meta pages name the root of a B+ tree; branch pages
lead to pages, leaf pages hold keys and values in the keys' order. A value may be a bucket: a tree of its own or, while
it is small, its only page. Other pages are free, or list those that are. A commit writes to free pages alone and one
meta page last. Only meta pages have checksums, so what is followed in the others is checked step by step. No byte is
taken twice: a file that was made to do harm must not unfold to more than its size.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Any, Final, TypeAlias

from model_manager.errors import NotFound, StateError
from model_manager.state.bolt_meta import DAMAGE_HINT, HEADER, newest_meta

Bucket: TypeAlias = "dict[bytes, bytes | Bucket]"

_BRANCH: Final = Struct("<IIQ")  # position of the key, its length, page
_LEAF: Final = Struct("<IIII")  # flags, position of the key, its length, the value's
_BUCKET: Final = Struct("<QQ")  # root, sequence

_IS_BRANCH, _IS_LEAF = 1, 2
_IS_BUCKET = 1

_DEEPEST = 100
"""Buckets within buckets that are followed. The original has one level; a damaged file must not exhaust the stack."""


def read_bolt(path: Path) -> Bucket:
    """All of the file's buckets. It is opened for reading, with bbolt's lock on it, so that nobody writes meanwhile.

    Raises NotFound, or StateError: it is locked by the program that writes it, is no BoltDB file, or is damaged.
    """
    with _locked(path) as descriptor:
        return _Reading(path, descriptor).buckets()


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The open file, under the same `flock` as bbolt's own readers take; it ends with the descriptor."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would be waited for
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no file {path}.", "The original kept its own as STATE_PATH/state.db."
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError as error:
        raise StateError(
            f"{path} is in use: the service that writes it still runs.",
            "Import it when that one has ended; what it does until then is in the file too.",
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError) -> StateError:
    return StateError(f"{path} cannot be read: {error.strerror}.", "Check its owner, permissions and disk.")


class _Reading:
    """One pass over an open file. No page is met twice: a damaged file must not lead in circles."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._meta = newest_meta(path, descriptor)
        self._met: set[int] = set()

    def buckets(self) -> Bucket:
        return self._tree(self._meta.root, 0)

    def _tree(self, root: int, depth: int) -> Bucket:
        found: Bucket = {}
        ahead = [root]
        while ahead:
            number = ahead.pop()
            page = self._page(number)
            if _kind(page) == _IS_BRANCH:
                children = [child for _, (_, _, child) in self._elements(page, _BRANCH, f"page {number}")]
                ahead += reversed(children)
            else:
                self._fill(found, page, f"page {number}", depth)
        return found

    def _fill(self, into: Bucket, page: memoryview, name: str, depth: int) -> None:
        """Take in what a leaf page holds: its elements' keys and values, one behind the other."""
        end = 0
        for place, (flags, position, key_size, value_size) in self._elements(page, _LEAF, name):
            start = place + position
            if start < end:
                raise self._damaged(f"elements of {name} overlap")
            middle, end = start + key_size, start + key_size + value_size
            if end > len(page):
                raise self._damaged(f"an element of {name} reaches beyond it")
            key, value = bytes(page[start:middle]), page[middle:end]
            into[key] = self._bucket(value, name, depth + 1) if flags & _IS_BUCKET else bytes(value)

    def _bucket(self, value: memoryview, name: str, depth: int) -> Bucket:
        """A bucket within another: the root of its tree, or 0 and the one page itself."""
        if depth > _DEEPEST:
            raise self._damaged(f"its buckets are nested more than {_DEEPEST} deep")
        if len(value) < _BUCKET.size:
            raise self._damaged(f"a bucket in {name} is too short")
        root, _ = _BUCKET.unpack_from(value)
        if root:
            return self._tree(root, depth)
        page, name = value[_BUCKET.size :], f"a bucket in {name}"
        if len(page) < HEADER.size or _kind(page) != _IS_LEAF:
            raise self._damaged(f"{name} is no leaf page")
        found: Bucket = {}
        self._fill(found, page, name, depth)
        return found

    def _page(self, number: int) -> memoryview:
        """A branch or leaf page, with what it runs over to."""
        size, pages = self._meta.page_size, self._meta.pages
        if not 2 <= number < pages:
            raise self._damaged(f"it leads to page {number}, and has pages 2 to {pages - 1}")
        said, kind, _, overflow = HEADER.unpack(self._read(number, HEADER.size))
        if said != number or kind not in (_IS_BRANCH, _IS_LEAF):
            raise self._damaged(f"page {number} is neither a branch nor a leaf of a tree")
        if number + overflow >= pages:
            raise self._damaged(f"page {number} runs beyond the file's {pages} pages")
        run = range(number, number + overflow + 1)
        if not self._met.isdisjoint(run):
            raise self._damaged(f"it leads to page {number} twice")
        self._met.update(run)
        return memoryview(self._read(number, len(run) * size))

    def _read(self, number: int, size: int) -> bytes:
        """What begins at a page. bbolt heeds the lock, but not everybody who writes to files does."""
        found = os.pread(self._descriptor, size, number * self._meta.page_size)
        if len(found) < size:
            raise self._damaged("it became shorter while it was read")
        return found

    def _elements(self, page: memoryview, shape: Struct, name: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """A page's elements, each with where it stands: a key's position counts from there."""
        count = HEADER.unpack_from(page)[2]
        end = HEADER.size + count * shape.size
        if end > len(page):
            raise self._damaged(f"{name} has no room for the {count} elements it should have")
        return ((place, shape.unpack_from(page, place)) for place in range(HEADER.size, end, shape.size))

    def _damaged(self, what: str) -> StateError:
        return StateError(f"{self._path} is damaged: {what}.", DAMAGE_HINT)


def _kind(page: memoryview) -> int:
    kind: int = HEADER.unpack_from(page)[1]
    return kind
