"""Where the verified model of each slot can be reached, and how many requests are in flight to it.

The slots' loops write here, the gateway reads; nothing is stored: a target is only as good as its last verification.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from model_manager.errors import NotFound, Unavailable

RETRY_AFTER = 2
"""Seconds after which a client may ask again for a model that is on its way."""


class Target(Struct, frozen=True):
    """A model server that was verified: it named `served_name` itself and generated a token.

    `url` is its base (`http://127.0.0.1:40123`), `key` the bearer key it wants, `instance` which run of it was
    verified, `since` the seconds since the epoch when that was.
    """

    slot: str
    url: str
    key: str | None
    served_name: str
    model_id: str = ""
    aliases: tuple[str, ...] = ()
    activation: str = ""
    instance: str = ""
    since: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What it answers to, the strongest claim first: an alias takes no name from a slot or a model."""
        return (self.slot, self.model_id, self.served_name, *self.aliases)


class Coming(Struct, frozen=True):
    """A model that a slot is on its way to serve: who asks for it is told to come back, not that it is unknown."""

    model_id: str
    names: frozenset[str]
    phase: str


class Targets:
    """The targets by slot. Lives on the event loop's thread alone."""

    def __init__(self, default_slot: str) -> None:
        self._default = default_slot
        self._targets: dict[str, Target] = {}
        self._coming: dict[str, Coming] = {}
        self._in_flight: dict[str, int] = {}
        self._idle: dict[str, asyncio.Event] = {}

    def open(self, target: Target) -> None:
        self._targets[target.slot] = target

    def close(self, slot: str) -> None:
        """No new request goes to this slot; those in flight go on."""
        self._targets.pop(slot, None)

    def expect(self, slot: str, coming: Coming | None) -> None:
        """What this slot will serve next, if all goes well."""
        if coming is None:
            self._coming.pop(slot, None)
        else:
            self._coming[slot] = coming

    def get(self, slot: str) -> Target | None:
        return self._targets.get(slot)

    def serves(self, slot: str, activation: str) -> bool:
        """Whether requests to this slot go to this activation now."""
        target = self._targets.get(slot)
        return target is not None and target.activation == activation

    def find(self, model: str | None) -> Target:
        """The target for a request's `model`: a slot, an id, an alias or a served name; none means the default slot.

        Raises Unavailable while the default slot has nothing verified, and for a model that is on its way;
        NotFound for a name that nothing serves.
        """
        if not model:
            return self._of_default()
        if model == self._default:
            return self._of_default()
        claims = [target for target in self._targets.values() if model in target.names]
        if claims:
            return min(claims, key=lambda target: target.names.index(model))
        self._refuse_coming(model)
        raise NotFound(f"No slot serves a model called {model!r}.", self._what_is_active())

    def models(self) -> list[dict[str, Any]]:
        """Every name that `find` answers to now, as OpenAI's `model` objects."""
        return [
            {
                "id": name,
                "object": "model",
                "created": target.since,
                "owned_by": "model-manager",
                "root": target.model_id,
            }
            for target in self._targets.values()
            for name in dict.fromkeys((target.slot, target.model_id, *target.aliases, target.served_name))
        ]

    def in_flight(self, slot: str) -> int:
        return self._in_flight.get(slot, 0)

    @contextmanager
    def lease(self, target: Target) -> Iterator[None]:
        """Count one request to this slot for as long as it lasts, so that a switch can wait for it."""
        self._in_flight[target.slot] = self.in_flight(target.slot) + 1
        try:
            yield
        finally:
            self._in_flight[target.slot] -= 1
            if not self._in_flight[target.slot] and target.slot in self._idle:
                self._idle.pop(target.slot).set()

    async def drained(self, slot: str, timeout: float) -> bool:
        """Wait until nothing is in flight to this slot, at most `timeout` seconds; whether that came true."""
        if not self.in_flight(slot):
            return True
        idle = self._idle.setdefault(slot, asyncio.Event())
        try:
            await asyncio.wait_for(idle.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def _of_default(self) -> Target:
        if self._default in self._targets:
            return self._targets[self._default]
        self._refuse_coming(self._default)
        raise Unavailable(f"Slot {self._default} serves no model right now.", self._what_is_active())

    def _refuse_coming(self, name: str) -> None:
        """A model that is on its way is not unknown: clients try again after a 503, never after a 404."""
        for slot, coming in self._coming.items():
            if name in (slot, *coming.names):
                raise Unavailable(
                    f"{coming.model_id} is on its way in slot {slot} ({coming.phase}).",
                    "Ask again in a moment.",
                    retry_after=RETRY_AFTER,
                )

    def _what_is_active(self) -> str:
        active = ", ".join(sorted({target.model_id for target in self._targets.values()}))
        return f"Active now: {active}." if active else "Nothing is active: `model-manager status` says why."
