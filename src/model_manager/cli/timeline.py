"""The phases of one activation, as the history tells them. Pure."""

from datetime import datetime
from typing import NamedTuple

from model_manager import client as api

PREFIX = "activation_"


class Step(NamedTuple):
    """One phase, when it began, how many seconds it took (None: it goes on, or was the end), and what is told of it."""

    time: str
    phase: str
    seconds: float | None
    detail: str = ""

    def __str__(self) -> str:
        took = "" if self.seconds is None else f"{self.seconds:.1f} s"
        clock = self.time.partition("T")[2].rstrip("Z") or self.time
        return f"{clock}  {self.phase:<11}  {took:>9}  {self.detail}".rstrip()


def timeline(events: "list[api.types.HistoryEvent]", activation: str) -> list[Step]:
    """The steps of this activation, oldest first, from events that are newest first as `/history` has them."""
    own = [event for event in reversed(events) if _is_of(event, activation)]
    following = [*(event.created_at for event in own[1:]), None]
    return [
        Step(
            event.created_at,
            event.event.removeprefix(PREFIX),
            None if then is None else round(_moment(then) - _moment(event.created_at), 3),
            str((event.metadata or {}).get("reason") or ""),
        )
        for event, then in zip(own, following, strict=False)
    ]


def _is_of(event: "api.types.HistoryEvent", activation: str) -> bool:
    told = (event.metadata or {}).get("activation")
    return told == activation and event.event.startswith(PREFIX)


def _moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
