"""The catalog as the house sees it: the snapshot that is served, and the task that keeps it in step with its source."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct

from model_manager.catalog import last_good
from model_manager.catalog.files import Reading, Vanished, place, read_all, read_named
from model_manager.catalog.history import record
from model_manager.catalog.last_good import Good
from model_manager.catalog.snapshot import EMPTY, CatalogItem, Snapshot, assemble, claims, finish
from model_manager.catalog.suggest import close
from model_manager.catalog.tree import Source, Tree
from model_manager.errors import NotFound, Unavailable
from model_manager.events import EventLog, timestamp
from model_manager.state.database import Database

log = logging.getLogger(__name__)

BACK_OFF_LIMIT = 300.0
"""Seconds: the longest wait between two tries of a source that fails (or the interval, if that is longer)."""

_TRIES = 5
_PATIENCE = 2.0  # seconds that a first fetch may take before what is remembered is served meanwhile


class CatalogStatus(Struct, frozen=True):
    """How the catalog is doing. `revision` is what is served; `loaded_at` when it was swapped in.

    `age_seconds`: since the source last confirmed that this is the newest. `error`, its `hint` and `stale_since` are
    set while the source fails. `count` is of entries, `problems` of errors and warnings.
    """

    source: str
    kind: str
    revision: str
    loaded_at: str | None
    age_seconds: float
    ready: bool
    error: str | None
    hint: str
    stale_since: str | None
    count: int
    problems: int


class Catalog:
    """Serves one snapshot and replaces it whole. `interval`: seconds between two looks at the source."""

    def __init__(
        self,
        source: Source,
        models_subdir: str,
        database: Database,
        events: EventLog,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._subdir = models_subdir
        self._database = database
        self._events = events
        self._interval = interval
        self._clock = clock
        self._snapshot = EMPTY
        self._tree: Tree | None = None
        self._reading = Reading({}, {})
        self._good: dict[str, Good] | None = None
        self._lock = asyncio.Lock()
        self._started = self._finished = 0
        self._outcome: Unavailable | None = None
        self._failures = 0
        self._loaded_at: str | None = None
        self._stale_since: str | None = None
        self._confirmed: float | None = None
        self._asked_by: str | None = None
        self._answering: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """What is served now; hold on to it for the length of one piece of work."""
        return self._snapshot

    def item(self, id_or_alias: str) -> CatalogItem:
        """The item of an id or alias. Raises NotFound naming close ids, Unavailable when no version can be served."""
        snapshot = self._snapshot
        if id_ := snapshot.names.get(id_or_alias):
            return snapshot.items[id_]
        if not snapshot.revision:
            raise Unavailable("The catalog has not been read yet.", self._error or "Try again in a moment.")
        if reason := snapshot.unavailable.get(id_or_alias):
            raise Unavailable(
                f"No version of {id_or_alias} can be served: {reason}.", "Give each entry an id of its own."
            )
        shown = ascii(id_or_alias)[1:-1][:80]
        raise NotFound(
            f"{shown} is not in the catalog at revision {snapshot.revision[:12]}.", self._hint(id_or_alias)
        )

    def id_of(self, name: str) -> str | None:
        """The id of the entry that is meant by an id, an alias or the name its server reports."""
        items, id_ = self._snapshot.items, self._snapshot.names.get(name)
        served = (one for one, item in items.items() if item.entry.served_name == name)
        return id_ or next(served, None)

    def _hint(self, name: str) -> str:
        for problem in self._snapshot.problems:
            if problem.severity == "error" and problem.file.rpartition("/")[2] == f"{name}.json":
                return f"Its file has a problem: {problem}"
        near = close(name, self._snapshot.names)
        return (
            f"Did you mean {' or '.join(near)}?"
            if near
            else "`model-manager models` (GET /models) lists what there is."
        )

    def tree(self) -> Path:
        """The folder of the current revision, which relative `file:` sources are in. Raises Unavailable."""
        if not self._snapshot.tree:
            raise Unavailable(
                "The catalog's files are out of reach.", self._error or "Try again in a moment."
            )
        return Path(self._snapshot.tree)

    @property
    def _error(self) -> str | None:
        return self._outcome.sentence if self._outcome else None

    def status(self) -> CatalogStatus:
        """What is served, how old that is, and what is wrong."""
        return CatalogStatus(
            source=self._source.location,
            kind=self._source.kind,
            revision=self._snapshot.revision,
            loaded_at=self._loaded_at,
            age_seconds=round(self._clock() - self._confirmed, 1) if self._confirmed is not None else 0.0,
            ready=bool(self._snapshot.revision),
            error=self._error,
            hint=self._outcome.hint if self._outcome else "",
            stale_since=self._stale_since,
            count=len(self._snapshot.items),
            problems=len(self._snapshot.problems),
        )

    async def refresh(self, actor: str = "system") -> Snapshot:
        """Look at the source now; callers that come meanwhile share the next look.

        A look that began before the call may have missed a commit that the caller knows of, so it does not count.
        Raises Unavailable when the source fails; what was served goes on being served.
        """
        wanted = self._started + 1
        async with self._lock:
            if self._finished < wanted:
                self._started += 1
                await self._look(actor)
                self._finished = self._started
            if self._outcome:
                raise Unavailable(self._outcome.sentence, self._outcome.hint) from self._outcome
            return self._snapshot

    def refresh_soon(self, actor: str) -> None:
        """Look at the source in the background. However often this is asked for during a look, one more follows it."""
        self._asked_by = actor
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer(), name="catalog refresh")

    async def _answer(self) -> None:
        while (actor := self._asked_by) is not None:
            self._asked_by = None
            await self._quiet(actor)

    async def run(self) -> None:
        """Look at once, then every `interval`; after failures later and later, with jitter. Runs until cancelled."""
        first = asyncio.create_task(self._quiet())
        try:
            done, _ = await asyncio.wait({first}, timeout=_PATIENCE)
            if not done:
                await self._restore()
            await first
        finally:
            first.cancel()
        while True:
            await asyncio.sleep(self._delay())
            await self._quiet()

    async def aclose(self) -> None:
        """Let go of the source."""
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.wait({self._answering})
        await self._source.aclose()

    def _delay(self) -> float:
        if not self._failures:
            return self._interval
        limit = max(BACK_OFF_LIMIT, self._interval)
        later: float = self._interval * 2 ** min(self._failures - 1, 16)
        return min(later, limit) * random.uniform(0.8, 1.2)

    async def _quiet(self, actor: str = "system") -> None:
        try:
            await self.refresh(actor)
        except Unavailable:
            pass  # noted in the status
        except Exception:
            log.exception("the catalog could not be refreshed")
            self._failures += 1

    async def _look(self, actor: str) -> None:
        try:
            await self._load(actor)
        except Unavailable as error:
            await self._note_failure(error, actor)
            return
        if self._outcome:
            log.info("the catalog %s can be read again", self._source.location)
        self._outcome, self._stale_since, self._failures = None, None, 0
        self._confirmed = self._clock()

    async def _note_failure(self, error: Unavailable, actor: str) -> None:
        self._failures += 1
        is_news = self._outcome is None or self._outcome.sentence != error.sentence
        self._outcome = error
        self._stale_since = self._stale_since or timestamp()
        if not self._snapshot.revision:
            await self._restore()
        if is_news:
            log.warning("%s %s", error.sentence, error.hint)
            data = {"message": error.sentence, "hint": error.hint, "revision": self._snapshot.revision}
            await self._database.write(
                lambda txn: self._events.append(txn, "catalog_problem", "", data, actor)
            )

    async def _load(self, actor: str) -> None:
        """Read the source's newest tree, whole and of one revision, and serve it."""
        tree = await self._source.fetch()
        for _ in range(_TRIES):
            if self._tree and tree.commit and tree == self._tree:
                return
            try:
                reading = await self._read(tree)
            except Vanished:
                tree = await self._source.current()
                continue
            now = await self._source.current()
            if now == tree:
                break
            tree = now  # flipped while it was read: what was read may have been half removed already
        else:
            raise Unavailable("The catalog changes faster than it can be read.", "It is read again soon.")
        await self._serve(tree, reading, actor)

    async def _read(self, tree: Tree) -> Reading:
        old = self._tree
        names = None
        if old and old.commit and tree.commit and old.path != tree.path:
            names = await self._source.changed(old, tree, self._subdir)
        results = self._reading.results
        if names is not None and not (tree.path / self._subdir).is_symlink():
            return await asyncio.to_thread(read_named, tree.path, self._subdir, results, names)
        same = old is not None and old.path == tree.path
        read = partial(read_all, tree.path, self._subdir, results, trust_stamps=same)
        return await asyncio.to_thread(read)

    async def _serve(self, tree: Tree, reading: Reading, actor: str) -> None:
        revision = tree.revision
        if not tree.commit:
            content = await asyncio.to_thread(reading.content_revision)
            revision = f"{revision}-dirty-{content[:8]}" if revision else content[:40]
        if self._good is None:
            self._good = await last_good.index(self._database)
        if revision != self._snapshot.revision or str(tree.path) != self._snapshot.tree:
            snapshot, kept = await self._assembled(tree, reading, revision)
            self._good = await record(
                self._database, self._events, actor, self._snapshot, snapshot, reading, self._good, kept
            )
            self._snapshot = snapshot
            self._loaded_at = timestamp()
        self._tree, self._reading = tree, Reading(reading.results, {})

    async def _assembled(self, tree: Tree, reading: Reading, revision: str) -> tuple[Snapshot, set[str]]:
        """The new snapshot, and the ids whose last good version is to be kept because they cannot be served fresh."""
        assert self._good is not None
        claimed = await asyncio.to_thread(claims, reading.results.values())
        missing = {
            good.id for good in self._good.values() if good.file in claimed.broken
        } | claimed.several.keys()
        missing -= claimed.single.keys()
        kept = await last_good.items(self._database, missing & self._good.keys()) if missing else {}
        make = partial(assemble, revision, str(tree.path), reading.results, kept, partial(place, tree.path))
        return await asyncio.to_thread(make), missing

    async def _restore(self) -> None:
        """Serve what is remembered from before this start, marked stale, while the source cannot be read."""
        revision = await last_good.get_state(self._database, "revision")
        items = await last_good.items(self._database) if revision else {}
        if revision and items and not self._snapshot.revision:
            self._snapshot = await asyncio.to_thread(finish, Snapshot(revision, "", items))
            self._loaded_at = timestamp()
