"""`/slots`: what each slot is to serve, what it serves, and what its model server logs."""

import asyncio
from collections.abc import AsyncGenerator

from msgspec import Struct

from model_manager import commands
from model_manager.commands import Activation, Parts, Slot, Why
from model_manager.http.routing import Reply, Request, Route
from model_manager.http.sse import EventStream, Message
from model_manager.web.activations import ActivationList, activation_page
from model_manager.web.models import Wait, activation_failed, preferred_wait
from model_manager.web.paging import Paged, Tail

LOOK_EVERY = 0.5
"""Seconds between two looks at a log that is followed."""

WINDOW = 1000
"""Lines that are looked at each time; of a server that logs more between two looks, the surplus is not shown."""


class SlotList(Struct, rename="camel"):
    slots: list[Slot]


class Desired(Struct, forbid_unknown_fields=True):
    """`model`: an id or alias of the catalog."""

    model: str


class Adoption(Struct, forbid_unknown_fields=True):
    """`model`: the id or alias of the catalog's entry that it is; else what the object says itself."""

    model: str | None = None


class SlotLog(Struct, rename="camel"):
    slot: str
    lines: list[str]


class LogLine(Struct):
    line: str


async def list_slots(parts: Parts) -> SlotList:
    """All slots."""
    return SlotList(await commands.list_slots(parts))


async def get_slot(parts: Parts, slot: str) -> Slot:
    """One slot: what is desired, what serves."""
    return await commands.get_slot(parts, slot)


async def put_slot(
    parts: Parts, slot: str, body: Desired, query: Wait, request: Request
) -> Reply[Activation]:
    """Make a slot want a model; the same wish again changes nothing.

    Answers at once with the activation under way, or, with `?wait=30` or the header `Prefer: wait=30`, as soon as the
    model serves; if it fails within that time, with the problem and its cause. 200: the slot serves it.
    """
    activation = await commands.activate(parts, body.model, slot=slot, actor=request.actor)
    seconds = query.wait if query.wait is not None else preferred_wait(request.header("prefer"))
    if seconds:
        activation = await commands.wait_activation(parts, activation.id, seconds)
    if activation.result not in (None, "active"):
        raise activation_failed(activation)
    status = 200 if activation.serving else 202
    return Reply(activation, status, {"location": f"/activations/{activation.id}"})


async def adopt_slot(parts: Parts, slot: str, body: Adoption, request: Request) -> Reply[Activation]:
    """Take over the InferenceService that somebody else made under a slot's name; none of its pods is restarted."""
    activation = await commands.adopt(parts, slot, body.model, request.actor)
    return Reply(activation, 202, {"location": f"/activations/{activation.id}"})


async def empty_slot(parts: Parts, slot: str, request: Request) -> Slot:
    """Make a slot want nothing, now and after every restart."""
    _, emptied = await commands.deactivate(parts, slot=slot, actor=request.actor)
    return emptied


async def why_slot(parts: Parts, slot: str) -> Why:
    """Why a slot serves what it serves: one cause, one next step, and what they were read from.

    On a cluster: conditions, pods, warnings and free GPUs; what may not be read is named in `unknown`.
    """
    return await commands.why_slot(parts, slot)


async def slot_activations(parts: Parts, slot: str, query: Paged) -> ActivationList:
    """The slot's activations, newest first."""
    await commands.get_slot(parts, slot)  # an unknown one is a problem, not an empty list
    return await activation_page(parts, query, slot=slot)


async def slot_logs(parts: Parts, slot: str, query: Tail, request: Request) -> SlotLog | EventStream:
    """The last log lines of a slot's model server, oldest first.

    For those who accept `text/event-stream`, new lines come as they are logged.
    """
    if request.accepts("text/event-stream"):
        seen = await commands.slot_logs(parts, slot, max(query.lines, WINDOW))
        return EventStream(follow(parts, slot, seen, query.lines))
    return SlotLog(slot, await commands.slot_logs(parts, slot, query.lines))


async def follow(parts: Parts, slot: str, seen: list[str], lines: int) -> AsyncGenerator[Message, None]:
    """The last `lines` of those seen, then what is new at each look."""
    fresh = seen[-lines:]
    while True:
        for line in fresh:
            yield Message(LogLine(line))
        await asyncio.sleep(LOOK_EVERY)
        now = await commands.slot_logs(parts, slot, WINDOW)
        fresh = new_lines(seen, now)
        seen = now


def new_lines(before: list[str], now: list[str]) -> list[str]:
    """What `now` has beyond the lines of `before`, when both are the end of the same growing log.

    The longest end of `before` that is a beginning of `now` was seen; without one, everything is new: another
    server's log, or more lines than the window holds.
    """
    for overlap in range(min(len(before), len(now)), 0, -1):
        if before[-overlap:] == now[:overlap]:
            return now[overlap:]
    return now


ROUTES = (
    Route("GET", "/slots", list_slots),
    Route("GET", "/slots/{slot}", get_slot),
    Route("PUT", "/slots/{slot}", put_slot, status=202, also={200: Activation}),
    Route("DELETE", "/slots/{slot}", empty_slot),
    Route("POST", "/slots/{slot}/adopt", adopt_slot, status=202),
    Route("GET", "/slots/{slot}/why", why_slot, at_once=4),
    Route("GET", "/slots/{slot}/activations", slot_activations),
    Route("GET", "/slots/{slot}/logs", slot_logs),
)
