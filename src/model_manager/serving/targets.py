"""Where the verified model of each slot can be reached, and how many requests are in flight to it.

The slots' loops write here, the gateway reads; nothing is stored: a target is only as good as its last verification.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Set

from msgspec import Struct

from model_manager.errors import Forbidden, ModelManagerError, NotFound, Unavailable
from model_manager.serving.waiting import Waiters

RETRY_AFTER = 2
"""Seconds after which to ask again for a model that is on its way, where no forecast says more."""

Only = Set[str] | None
"""What a token may use: models by id, slots, or single names; None: everything."""


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
    """A model that a slot is on its way to serve: who asks for it waits, or is told to come back.

    `ready_at` is the forecast of when, in seconds of `time.monotonic()`; None where there is none.
    """

    model_id: str
    names: frozenset[str]
    phase: str
    ready_at: float | None = None


class GaveUp(Struct, frozen=True):
    """A model that a slot did not come to serve, and why."""

    coming: Coming
    reason: str


class Name(Struct, frozen=True):
    """A name that requests may ask for. `since`: seconds since the epoch; 0 while its slot switches."""

    name: str
    slot: str
    model_id: str
    since: int


class OnItsWay(Unavailable):
    """The model is not served yet, but its slot is about to."""

    def __init__(self, slot: str, coming: Coming) -> None:
        self.slot = slot
        left = coming.ready_at - time.monotonic() if coming.ready_at is not None else 0.0
        seconds = max(RETRY_AFTER, math.ceil(left))
        hint = f"Ask again in about {seconds} s." if seconds > RETRY_AFTER else "Ask again in a moment."
        sentence = f"{coming.model_id} is on its way in slot {slot} ({coming.phase})."
        super().__init__(sentence, hint, retry_after=seconds)


def _no_entry(name: str) -> str | None:
    return None


class Targets:
    """The targets by slot. Lives on the event loop's thread alone.

    `wait`: seconds a request may wait for a slot that switches, `queue`: how many may so for one slot.
    `entry_of` leads from any name to the id of its catalog entry, so that an inactive model is told from an unknown.
    """

    def __init__(
        self,
        default_slot: str,
        slots: Iterable[str] = (),
        *,
        wait: float = 30.0,
        queue: int = 256,
        entry_of: Callable[[str], str | None] = _no_entry,
    ) -> None:
        self._default = default_slot
        self._slots = frozenset((default_slot, *slots))
        self._wait, self._queue = wait, queue
        self._stopping = False
        self._entry_of = entry_of
        self._targets: dict[str, Target] = {}
        self._by_name: dict[str, Target] = {}
        self._coming: dict[str, Coming] = {}
        self._gave_up: dict[str, GaveUp] = {}
        self._waiters: defaultdict[str, Waiters] = defaultdict(Waiters)
        self._in_flight: dict[str, int] = {}
        self._idle: dict[str, asyncio.Event] = {}

    # -- what the slots' loops say ------------------------------------------------------------------------

    def open(self, target: Target) -> None:
        """Requests for any of its names go there from now on."""
        self._targets[target.slot] = target
        self._changed()

    def close(self, slot: str) -> None:
        """No new request goes to this slot; those in flight go on."""
        if self._targets.pop(slot, None) is not None:
            self._gave_up.pop(slot, None)
            self._changed()

    def expect(self, slot: str, coming: Coming | None) -> None:
        """What this slot will serve next, if all goes well."""
        if coming == self._coming.get(slot):
            return
        if coming is None:
            del self._coming[slot]
        else:
            self._coming[slot] = coming
        self._changed()

    def give_up(self, slot: str, reason: str) -> None:
        """Why the slot will not serve what was expected of it; to be said before it is told what to expect instead.

        Those who wait for that model are told then, and those who wait for the slot go on waiting if something comes.
        """
        if slot in self._coming:
            self._gave_up[slot] = GaveUp(self._coming[slot], reason)

    def stop_waiting(self) -> None:
        """The service ends: who waits is told to come back, now and from now on."""
        self._stopping, self._wait = True, 0.0
        self._changed()

    def get(self, slot: str) -> Target | None:
        return self._targets.get(slot)

    def serves(self, slot: str, activation: str) -> bool:
        """Whether requests to this slot go to this activation now."""
        target = self._targets.get(slot)
        return target is not None and target.activation == activation

    # -- what the gateway asks ----------------------------------------------------------------------------

    def find(self, model: str | None, only: Only = None) -> Target:
        """The target for a request's `model`: a slot, an id, an alias or a served name; none means the default slot.

        Raises OnItsWay for a model that is coming, Unavailable for a slot that has nothing verified,
        NotFound for a name that nothing serves and Forbidden for one that is not among `only`.
        """
        name = model or self._default
        target = self._by_name.get(name)
        if target is None or (only is not None and not _may(only, name, target.slot, target.model_id)):
            raise self._refusal(name, only)
        return target

    async def wait_for(self, model: str | None, only: Only = None) -> Target:
        """`find`, but a model that is on its way is waited for, within the limits.

        Nothing is awaited between the last look and the return: a lease taken at once is seen by the next switch.
        Raises Unavailable with the reason when the model will not come after all.
        """
        try:
            return self.find(model, only)
        except OnItsWay as switch:
            waiters = self._waiters_of(switch)
        deadline = asyncio.get_running_loop().time() + self._wait
        while True:
            await waiters.woken(deadline)
            try:
                return self.find(model, only)
            except OnItsWay:
                if self._stopping or asyncio.get_running_loop().time() >= deadline:
                    raise
            except NotFound as gone:
                raise Unavailable(gone.sentence, gone.hint) from gone

    def names(self, only: Only = None) -> list[Name]:
        """Every name that `find` answers to now, each once, and the slots that are switching."""
        listed = [
            Name(name, target.slot, target.model_id, target.since)
            for target in self._targets.values()
            for name in dict.fromkeys(target.names)
            if self._by_name[name] is target
        ]
        listed += [
            Name(slot, slot, coming.model_id, 0)
            for slot, coming in self._coming.items()
            if slot not in self._targets
        ]
        return [one for one in listed if _may(only, one.name, one.slot, one.model_id)]

    # -- requests in flight -------------------------------------------------------------------------------

    def in_flight(self, slot: str) -> int:
        return self._in_flight.get(slot, 0)

    def waiting(self, slot: str) -> int:
        """How many requests wait for this slot to end its switch."""
        return len(self._waiters[slot]) if slot in self._waiters else 0

    def lease(self, target: Target) -> "Lease":
        """Count one request to this slot for as long as it lasts, so that a switch can wait for it."""
        self._in_flight[target.slot] = self.in_flight(target.slot) + 1
        return Lease(self._end, target.slot)

    def _end(self, slot: str) -> None:
        self._in_flight[slot] -= 1
        if not self._in_flight[slot] and slot in self._idle:
            self._idle.pop(slot).set()

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

    # -- small things -------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """Lead every name to the strongest claim, and let those who wait look again."""
        claims = [
            (rank, name, target)
            for target in self._targets.values()
            for rank, name in enumerate(target.names)
            if rank == 0 or name not in self._slots
        ]
        by_strength = sorted(claims, key=lambda claim: claim[0], reverse=True)
        self._by_name = {name: target for _, name, target in by_strength if name}
        for waiters in self._waiters.values():
            waiters.wake()

    def _waiters_of(self, switch: OnItsWay) -> Waiters:
        waiters = self._waiters[switch.slot]
        if len(waiters) >= self._queue:
            sentence = f"{switch.sentence} {len(waiters)} requests wait for it already."
            raise Unavailable(sentence, switch.hint, **switch.data) from None
        return waiters

    def _refusal(self, name: str, only: Only) -> ModelManagerError:
        """Why nothing serves this name now. Who may not use it is not told more."""
        target, coming = self._by_name.get(name), self._coming_of(name)
        if target is not None:
            return _forbidden(name, only)  # it serves, but not this token
        if coming is not None:
            slot, model = coming
            may = _may(only, name, slot, model.model_id)
            return OnItsWay(slot, model) if may else _forbidden(name, only)
        entry = self._entry_of(name)
        if not _may(only, name, entry or name):
            return _forbidden(name, only)
        return self._nothing_serves(name, entry, only)

    def _coming_of(self, name: str) -> tuple[str, Coming] | None:
        """A slot's name is its own, also when a model on its way elsewhere has it as an alias."""
        if name in self._slots:
            return (name, self._coming[name]) if name in self._coming else None
        for slot, coming in self._coming.items():
            if name in coming.names:
                return slot, coming
        return None

    def _nothing_serves(self, name: str, entry: str | None, only: Only) -> ModelManagerError:
        shown = {one.model_id for one in self._targets.values() if _may(only, one.slot, one.model_id)}
        active = (
            f"Active now: {', '.join(sorted(shown))}." if shown
            else "Nothing is active: `model-manager status` says why."
        )  # fmt: skip
        if name in self._slots:
            return Unavailable(f"Slot {name} serves no model right now.{self._why(name, slot=name)}", active)
        if entry is None:
            return NotFound(
                f"No slot serves a model called {name!r}.{self._why(name)}", active, param="model"
            )
        hint = f"{active} `model-manager activate {entry}` (POST /models/activate) makes it so."
        return NotFound(f"{entry} is not active.{self._why(name)}", hint, param="model")

    def _why(self, name: str, slot: str | None = None) -> str:
        for at, gone in self._gave_up.items():
            if at == slot or name in gone.coming.names:
                return f" {gone.coming.model_id} could not be activated in slot {at}: {gone.reason}"
        return ""


class Lease:
    """A request in flight: to the end of its `with` block, or until `end`."""

    __slots__ = ("_on_end", "_slot")

    def __init__(self, on_end: Callable[[str], None], slot: str) -> None:
        self._on_end: Callable[[str], None] | None = on_end
        self._slot = slot

    def end(self) -> None:
        """The request is over. A second time changes nothing."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self._slot)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.end()


def _may(only: Only, *names: str) -> bool:
    return only is None or not only.isdisjoint(names)


def _forbidden(name: str, only: Only) -> Forbidden:
    usable = ", ".join(sorted(only or ())) or "no model"
    return Forbidden(f"This token may not use {name!r}.", f"It may use: {usable}.", param="model")
