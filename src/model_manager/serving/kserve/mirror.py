"""A copy of all objects of one kind, kept true by list and watch.

The server ends each watch after `SERVER_TIMEOUT`; silence beyond `SILENCE` is a dead connection. After every loss the
objects are listed anew, since nothing tells of what vanished meanwhile.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import Struct

from model_manager.errors import ModelManagerError, Unavailable
from model_manager.serving.kserve.api import Api, Query
from model_manager.serving.kserve.connection import SILENCE
from model_manager.serving.kserve.kinds import NOT_JSON, Kind, Object, mapping, metadata, name_of, uid_of
from model_manager.serving.kserve.refusals import Gone, refusal

log = logging.getLogger(__name__)

SERVER_TIMEOUT = 50.0
"""Seconds a watch lasts. Below `SILENCE`, so that a quiet cluster is not taken for a dead one."""

LONGEST_PAUSE = 10.0
"""Seconds between two tries, at most: as long as a restarted API server may stay unnoticed."""


class Watching(Struct, frozen=True):
    """Seconds: how long a watch lasts, how long silence is borne, and the first pause after a failure."""

    seconds: float = SERVER_TIMEOUT
    silence: float = SILENCE
    pause: float = 0.2


USUAL = Watching()


class _Broken(Exception):
    """The stream says something that cannot be gone on from: list anew."""


class Mirror:
    """`changed` is called with every object that came, changed or went. Belongs to one event loop.

    `trouble` is why it is not up to date now (None: it is); `complete` is set as soon as it was so once.
    """

    def __init__(
        self, api: Api, kind: Kind, changed: Callable[[Object], None], watching: Watching, select: Query
    ) -> None:
        self._api, self.kind, self._changed, self._select = api, kind, changed, select
        self._seconds, self._silence, self._pause = watching.seconds, watching.silence, watching.pause
        self._objects: dict[str, Object] = {}
        self._dropped: set[str] = set()
        self._version: str | None = None
        self.trouble: ModelManagerError | None = None
        self.complete = asyncio.Event()

    def all(self) -> list[Object]:
        return list(self._objects.values())

    def get(self, name: str) -> Object | None:
        return self._objects.get(name)

    def put(self, item: Object) -> None:
        """What a write of our own was answered, ahead of the watch; an older version than is known is ignored."""
        name, known = name_of(item), self._objects.get(name_of(item))
        if uid_of(item) in self._dropped:
            return
        if known is not None and uid_of(known) == uid_of(item) and _version(item) <= _version(known):
            return
        self._objects[name] = item
        self._changed(item)

    def drop(self, item: Object) -> None:
        """It is gone, ahead of the watch: what the watch still tells of this UID is old."""
        self._dropped.add(uid_of(item))
        self._forget(item)

    async def run(self) -> None:
        """For ever. What did not last waits longer each time, with some chance in it.

        A watch that ends would leave its slots deaf, so a defect is told and the watch begun anew.
        """
        lasting = min(self._seconds / 2, LONGEST_PAUSE)
        pause = self._pause
        while True:
            began = time.monotonic()
            try:
                await self._follow()
                wait = 0.0
            except ModelManagerError as error:
                wait = self._tell(error)
            except _Broken as broken:
                log.warning("the watch of %s is begun anew: %s", self.kind.qualified, broken)
                self._version, wait = None, 0.0
            except Exception as defect:
                log.exception("the watch of %s went wrong and is begun anew", self.kind.qualified)
                self.trouble, self._version, wait = self._went_wrong(defect), None, 0.0
            if time.monotonic() - began > lasting:
                pause = self._pause
            await asyncio.sleep(max(wait, pause) * (1 + 0.2 * random.random()))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _tell(self, error: ModelManagerError) -> float:
        """Seconds that the server wants to be left alone."""
        self._version = None
        if isinstance(error, Gone):
            return 0.0
        if self.trouble is None or self.trouble.sentence != error.sentence:
            log.warning("%s %s", error.sentence, error.hint)
        self.trouble = error
        return float(error.data.get("retry_after", 0))

    def _went_wrong(self, defect: Exception) -> Unavailable:
        sentence = f"The watch of {self.kind.qualified} went wrong because of a defect in the service"
        return Unavailable(f"{sentence} ({type(defect).__name__}).", "The service's log has the details.")

    async def _follow(self) -> None:
        """One watch, after a list where there is nothing to go on from."""
        if self._version is None:
            await self._relist()
        assert self._version is not None
        lines = self._api.watch(
            self.kind, self._version, self._select, seconds=self._seconds, silence=self._silence,
            opened=self._recovered,
        )  # fmt: skip
        async with aclosing(lines) as told:
            async for line in told:
                self._take(line)

    def _recovered(self) -> None:
        """A list alone is no recovery: where only watching fails, each try begins with a list that goes well."""
        self.trouble = None

    async def _relist(self) -> None:
        found, version = await self._api.list_all(self.kind, self._select)
        now = {name_of(item): item for item in found if uid_of(item) not in self._dropped}
        before, self._objects = self._objects, now
        self._dropped &= {uid_of(item) for item in found}
        self._version = version
        self.complete.set()
        for name, item in before.items():
            if name not in now or uid_of(now[name]) != uid_of(item):
                self._changed(item)
        for name, item in now.items():
            if before.get(name) != item:
                self._changed(item)

    def _take(self, line: bytes) -> None:
        try:
            event = mapping(msgspec.json.decode(line))
        except NOT_JSON as e:
            raise _Broken("a line of it is no JSON") from e
        item, what = mapping(event.get("object")), event.get("type")
        if what == "ERROR":
            raise refusal(_code(item), msgspec.json.encode(item), None, "watch", self.kind, "")
        version = metadata(item).get("resourceVersion")
        if not isinstance(version, str):
            raise _Broken("an event of it holds no object")
        self._version = version
        if what == "DELETED":
            self._dropped.discard(uid_of(item))
            self._forget(item)
        elif what in ("ADDED", "MODIFIED"):
            self.put(item)
        elif what != "BOOKMARK":
            raise _Broken(f"an event of it is of the unknown type {str(what)[:50]!r}")

    def _forget(self, item: Object) -> None:
        known = self._objects.get(name_of(item))
        if known is not None and uid_of(known) == uid_of(item):
            del self._objects[name_of(item)]
            self._changed(known)


def _version(item: Object) -> int:
    """Versions are numbers that grow; should one not be, it counts as newer than what is known."""
    text: Any = metadata(item).get("resourceVersion")
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else 1 << 63


def _code(status: Object) -> int:
    code = status.get("code")
    return code if isinstance(code, int) and code >= 400 else 500
