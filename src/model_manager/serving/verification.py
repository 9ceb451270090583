"""What verification has said of one slot's instance, and the asking of it beside the slot's loop."""

import asyncio
import logging
from collections.abc import Callable

from model_manager.catalog.entry import Entry
from model_manager.relay import Relay
from model_manager.serving.activation import Word
from model_manager.serving.platform import Instance
from model_manager.serving.verify import Verdict, verify

log = logging.getLogger(__name__)

WRONG_AGAIN = 5.0
"""Seconds before a served model that was started again, and answered wrongly, is asked once more."""


class Verification:
    """Belongs to one slot's loop, which stays free to hear of a crash or another wish while a server is asked.

    `retry`: seconds before a server that gave no usable answer is asked again; `told` is called with every verdict.
    """

    def __init__(self, relay: Relay, retry: float, told: Callable[[], None]) -> None:
        self._relay = relay
        self._retry = retry
        self._told = told
        self._run: str | None = None
        self._asking: asyncio.Task[None] | None = None
        self.verdict: Verdict | None = None

    def word(self, instance: Instance | None) -> Word | None:
        """What is known of exactly this run; a restarted process has to be asked again."""
        if instance is None or instance.run != self._run:
            return None
        if self._asking is not None:
            return "pending"
        return self.verdict.word if self.verdict else None

    def ask(self, instance: Instance, entry: Entry) -> None:
        """Verify this run, unless it is being asked already."""
        known = self.word(instance)
        if known == "pending":
            return
        if self._asking is not None:
            self._asking.cancel()
        self._run = instance.run
        pause = {None: 0.0, "retry": self._retry}.get(known, WRONG_AGAIN)
        self._asking = asyncio.create_task(self._ask(instance, entry, pause))

    async def _ask(self, instance: Instance, entry: Entry, pause: float) -> None:
        await asyncio.sleep(pause)
        try:
            self.verdict = await verify(self._relay, instance, entry)
        except Exception:  # an answer nobody thought of must not leave the slot waiting for a verdict
            log.exception("the answers of %s could not be judged", instance.name)
            self.verdict = Verdict(
                "retry", "unverified", "The model server's answers could not be understood."
            )
        self._asking = None
        self._told()
