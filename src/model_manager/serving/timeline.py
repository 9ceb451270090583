"""How an activation goes, in time: which phases it passes, and for how long it is in each."""

import time
from collections.abc import Callable

from msgspec import Struct

from model_manager.tracing import Span


class PhaseSpan(Struct, frozen=True):
    """One phase. `began` in seconds since the epoch, for people; `seconds` by a clock that does not jump."""

    phase: str
    began: float
    seconds: float


class Timeline(Struct, frozen=True):
    """One attempt, seen to its end by the loop. `result` is `overtaken` when a user's later word ended it."""

    slot: str
    activation: str
    model_id: str
    result: str
    phases: tuple[PhaseSpan, ...]

    def span(self) -> Span:
        """As traces tell it."""
        parts = [Span(passed.phase, passed.began, passed.seconds, {}) for passed in self.phases]
        facts = {
            "slot": self.slot,
            "activation": self.activation,
            "model": self.model_id,
            "result": self.result,
        }
        attributes = {f"model_manager.{name}": value for name, value in facts.items()}
        failed = "" if self.result == "active" else self.result
        seconds = sum(part.seconds for part in parts)
        return Span("activation", parts[0].began, seconds, attributes, failed, parts)


Observe = Callable[[Timeline], None]


def unobserved(_: Timeline) -> None:
    """For who does not want to know."""


class PhaseTimer:
    """The attempt under way in one slot. Tell it what is seen, as often as it is seen."""

    def __init__(self, slot: str, observe: Observe) -> None:
        self._slot = slot
        self._observe = observe
        self._who: tuple[str, str] | None = None
        self._passed: list[PhaseSpan] = []
        self._phase = ""
        self._began = self._since = 0.0

    def see(self, activation: str, model_id: str, phase: str) -> None:
        """This attempt is in this phase now."""
        if self._who != (activation, model_id):
            self.end("overtaken")
            self._who = activation, model_id
        elif phase == self._phase:
            return
        else:
            self._pass()
        self._phase, self._began, self._since = phase, time.time(), time.monotonic()

    def end(self, result: str) -> None:
        """The attempt seen last has ended; nothing happens when there is none."""
        if self._who is None:
            return
        self._pass()
        self._observe(Timeline(self._slot, *self._who, result, tuple(self._passed)))
        self._who, self._passed = None, []

    def _pass(self) -> None:
        self._passed.append(PhaseSpan(self._phase, self._began, time.monotonic() - self._since))
