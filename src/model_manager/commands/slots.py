"""Slots: what they are to serve, what serves in them, and emptying them."""

from msgspec import Struct

from model_manager.commands.activations import Activation, activation_of
from model_manager.commands.parts import Parts
from model_manager.errors import ModelManagerError
from model_manager.serving import ledger
from model_manager.serving.activation import current
from model_manager.serving.ledger import Failure, Row
from model_manager.serving.platform import Difference, Manifest
from model_manager.state.database import Transaction


class Slot(Struct, rename="camel"):
    """A slot: what is desired of it, and what serves. `state` is `empty`, `active`, `failed` or the phase under way.

    `reason` says why the desired model does not serve now ("" when it does, or is just on its way);
    `last_failure` is what a user last asked for, if that failed, whatever serves instead. `drift` is what others have
    changed in the object that serves, field by field (on a cluster).
    """

    name: str
    state: str
    desired: Activation | None
    serving: str | None
    last_good: str | None
    in_flight: int
    reason: str
    last_failure: Activation | None
    drift: list[Difference]


async def deactivate(parts: Parts, *, slot: str | None = None, actor: str) -> tuple[str, Slot]:
    """Make a slot want nothing, now and after every restart. Returns `deleted` or `already_deleted`, and the slot."""
    name = parts.slot_named(slot)

    def write(txn: Transaction) -> str:
        row = ledger.desired(txn, name)
        if row is None:
            return "already_deleted"
        if row.result is None:
            ledger.end(
                txn, parts.events, row, "cancelled", Failure("deactivated", "The slot was emptied."), actor
            )
            txn.after_commit(lambda: parts.metrics.activation_ended(name, "cancelled"))
        ledger.want(txn, name, None)
        ledger.forget_last_good(txn, name)
        data = {"action": "deleted", "slot": name, "modelId": row.model_id}
        parts.events.append(txn, "model_deactivated", name, data, actor)
        return "deleted"

    action = await parts.database.write(write)
    parts.loops[name].poke()
    return action, await get_slot(parts, name)


async def list_slots(parts: Parts) -> list[Slot]:
    return [await get_slot(parts, name) for name in parts.slots]


async def get_slot(parts: Parts, name: str) -> Slot:
    name = parts.slot_named(name)
    at, row, latest = await parts.database.read(
        lambda c: (ledger.slot(c, name), ledger.desired(c, name), ledger.latest_attempt(c, name))
    )
    target = parts.targets.get(name)
    failed = latest is not None and latest.result in ("failed", "restored")
    return Slot(
        name=name, state=state_of(row, target is not None), desired=activation_of(parts, row) if row else None,
        serving=target.model_id if target else None, last_good=at.last_good, in_flight=parts.targets.in_flight(name),
        reason=await _reason(parts, row), last_failure=activation_of(parts, latest) if latest and failed else None,
        drift=drift_of(parts, row),
    )  # fmt: skip


async def _reason(parts: Parts, row: Row | None) -> str:
    if row is None or (row.result is None and row.phase != "active"):
        return ""
    if row.result in ledger.ENDS:
        return row.reason
    if parts.targets.serves(row.slot, row.id):
        return ""
    try:
        observed = await parts.platform.observe(row.slot)
    except ModelManagerError as e:  # a slot can be looked at while what it runs on cannot
        return e.sentence
    instance = current(row.id, observed)
    said = observed.trouble.sentence if observed.trouble else instance.reason if instance else ""
    return said or "It is being started again."


def drift_of(parts: Parts, row: Row | None) -> list[Difference]:
    """Before it is active there is nothing that others could have changed: it is being applied."""
    return list(parts.platform.drift(row.manifest)) if row is not None and row.phase == "active" else []


def state_of(row: Row | None, serving: bool) -> str:
    if row is None:
        return "empty"
    if row.result in ledger.ENDS:
        return "failed"
    if row.phase == "active" and not serving:
        return "starting"  # again, after a crash or a restart of the service
    return row.phase


async def slot_logs(parts: Parts, name: str, lines: int) -> list[str]:
    """The last lines of the slot's model server, oldest first."""
    return await parts.platform.logs(parts.slot_named(name), lines)


async def active_object(parts: Parts, slot: str | None = None) -> Manifest | None:
    """The InferenceService of the model that serves a slot; None while nothing does, or nothing is wanted any more."""
    name = parts.slot_named(slot)
    target = parts.targets.get(name)
    if target is None:
        return None
    wanted, row = await parts.database.read(
        lambda c: (ledger.desired(c, name), ledger.activation(c, target.activation))
    )
    return row.manifest if wanted is not None else None
