"""What others have changed in a served object: told in the history, and put back if that is wanted."""

import logging
import time
from collections.abc import Callable
from typing import Any

from model_manager.errors import ModelManagerError
from model_manager.events import EventLog
from model_manager.serving.ledger import Row
from model_manager.serving.platform import Difference, Platform
from model_manager.state.database import Database

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
"""Seconds between two repairs. Whoever changes it back each time would otherwise be fought without end."""


class Drift:
    """Of one slot. Belongs to its loop, which asks while the slot's model is active."""

    def __init__(
        self, slot: str, platform: Platform, database: Database, events: EventLog, *, repair: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._slot, self._platform, self._database, self._events = slot, platform, database, events
        self._repair, self._clock = repair, clock
        self._told: tuple[Difference, ...] = ()
        self._repaired_at, self._pause = float("-inf"), FIRST_PAUSE

    async def look(self, row: Row) -> None:
        """Compare what is there with what was applied. A repair that is refused is told; the model goes on."""
        found = self._platform.drift(row.manifest)
        if found and found != self._told:
            await self._tell(row, found)
        self._told = found
        now = self._clock()
        if found and self._repair and now - self._repaired_at >= self._pause:
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if self._is_contested(now) else FIRST_PAUSE
            self._repaired_at = now
            try:
                await self._platform.apply(row.manifest)
            except ModelManagerError as e:
                log.warning("slot %s: what was changed could not be put back: %s", self._slot, e.sentence)

    def _is_contested(self, now: float) -> bool:
        return now - self._repaired_at < 6 * self._pause

    async def _tell(self, row: Row, found: tuple[Difference, ...]) -> None:
        names = ", ".join(one.field for one in found[:5])
        who = ", ".join(sorted({one.by for one in found if one.by})) or "somebody else"
        then = "it is put back" if self._repair else "it is kept"
        log.warning("slot %s: %s changed %s; %s", self._slot, who, names, then)
        data: dict[str, Any] = {
            "activation": row.id, "modelId": row.model_id, "repaired": self._repair, "changedBy": who,
            "differences": [
                {"field": one.field, "wanted": one.wanted, "found": one.found, "by": one.by} for one in found[:20]
            ],
        }  # fmt: skip
        await self._database.write(lambda txn: self._events.append(txn, "object_drifted", self._slot, data))
