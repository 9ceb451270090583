"""Attempts to make a slot serve a model: begun, given up, waited for, listed, foreseen."""

import asyncio
import time
from sqlite3 import Connection

from msgspec import Struct

from model_manager import logs
from model_manager.catalog.snapshot import CatalogItem
from model_manager.commands.parts import Parts
from model_manager.errors import Conflict
from model_manager.events import Event, Subscription
from model_manager.serving import ledger
from model_manager.serving.activation import Result
from model_manager.serving.forecast import Forecast, forecast_of_served
from model_manager.serving.ledger import Draft, Failure, Row
from model_manager.state.database import Transaction


class Activation(Struct, rename="camel"):
    """One attempt, as shown to users. `result` is None while it is under way; `serving`: requests go to it now.

    `fetched_by` says who brings the weights: `model-manager`, which installs them once; `kserve`, whose storage
    initializer fetches them anew for each pod; "" where they are on a volume that somebody else fills.
    """

    id: str
    slot: str
    model_id: str
    revision: str
    entry_hash: str
    phase: str
    result: str | None
    code: str
    reason: str
    hint: str
    exit_code: int | None
    log_tail: list[str]
    restores: str | None
    restored_by: str | None
    job_id: str | None
    actor: str
    created_at: str
    phase_at: str
    ended_at: str | None
    catalog_moved_on: bool
    serving: bool
    fetched_by: str


async def activate(parts: Parts, model_id: str, *, slot: str | None = None, actor: str) -> Activation:
    """Make a slot want this model. The same wish twice is one activation.

    Raises NotFound, Unavailable (an entry without a good version) or Unprocessable (it cannot be rendered).
    """
    item = parts.catalog.item(model_id)
    draft = draft_of(parts, item, parts.slot_named(slot), actor)

    def write(txn: Transaction) -> str:
        row = ledger.desired(txn, draft.slot)
        if row is not None and row.result in (None, "active") and _same(row, draft):
            return row.id
        if ledger.begin(txn, parts.events, draft):
            txn.after_commit(lambda: parts.metrics.activation_ended(draft.slot, "superseded"))
        return draft.id

    activation_id = await parts.database.write(write)
    logs.activation_id.set(activation_id)
    parts.loops[draft.slot].poke()
    return await get_activation(parts, activation_id)


async def cancel_activation(parts: Parts, activation_id: str, actor: str) -> Activation:
    """Give up an attempt under way; the last good model serves (again). Raises Conflict when it has ended.

    An install that it waits for ends with it, unless another slot's attempt needs the same weights.
    """

    def write(txn: Transaction) -> tuple[Row, bool]:
        row = ledger.activation(txn, activation_id)
        if row.result is not None:
            raise Conflict(
                f"Activation {row.id} has ended already: {row.result}.", "Nothing is left to cancel."
            )
        failure = Failure("cancelled", f"It was cancelled by {actor} while {row.phase}.")
        ledger.settle(txn, parts.events, row, "cancelled", failure, actor)
        txn.after_commit(lambda: parts.metrics.activation_ended(row.slot, "cancelled"))
        return row, row.job_id is not None and ledger.is_awaited(txn, row.job_id)

    row, others_wait = await parts.database.write(write)
    parts.loops[row.slot].poke()
    if row.phase == "installing" and row.job_id and not others_wait:
        job = await parts.jobs.get(row.job_id)
        if job.status in ("pending", "running"):
            await parts.jobs.cancel(row.job_id, actor)
    return await get_activation(parts, activation_id)


async def wait_activation(parts: Parts, activation_id: str, seconds: float) -> Activation:
    """The activation as soon as it has ended, or as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    async with parts.events.subscribe() as feed:
        while True:
            found = await get_activation(parts, activation_id)
            left = deadline - time.monotonic()
            if found.result is not None or left <= 0:
                return found
            await _any_event(feed, left)


async def get_activation(parts: Parts, activation_id: str) -> Activation:
    return activation_of(parts, await parts.database.read(lambda c: ledger.activation(c, activation_id)))


async def list_activations(
    parts: Parts, *, slot: str | None = None, model_id: str | None = None, result: Result | None = None,
    limit: int = 100, before: int | None = None,
) -> tuple[list[Activation], int | None]:  # fmt: skip
    """At most `limit`, newest first, and the `before` to ask with for older ones (None: there are none)."""

    def rows(connection: Connection) -> list[Row]:
        return ledger.activations(
            connection, limit + 1, slot_name=slot, model_id=model_id, result=result, before=before
        )

    found = await parts.database.read(rows)
    page = found[:limit]
    return [activation_of(parts, row) for row in page], page[-1].seq if len(found) > limit else None


async def forecast(parts: Parts, model_id: str, slot: str | None = None) -> Forecast:
    """How long activating this model would take. Raises as `activate` does; changes nothing."""
    draft = draft_of(parts, parts.catalog.item(model_id), parts.slot_named(slot), "forecast")
    row = await parts.database.read(lambda c: ledger.desired(c, draft.slot))
    if row is not None and _same(row, draft) and parts.targets.serves(draft.slot, row.id):
        return forecast_of_served(row.model_id)
    observed = await parts.platform.observe(draft.slot)
    return await parts.forecaster.forecast(draft.entry, draft.weights, replaces=not observed.empty)


def draft_of(parts: Parts, item: CatalogItem, slot: str, actor: str) -> Draft:
    """What a new activation of `item` would be made of. Raises Unprocessable when it cannot be rendered."""
    entry, activation_id = item.entry, ledger.new_id()
    manifest, weights = parts.render(item, slot, activation_id)
    return Draft(
        id=activation_id, slot=slot, model_id=entry.id, entry=entry, entry_hash=item.hash,
        revision=item.revision, manifest=manifest, weights=weights, actor=actor,
    )  # fmt: skip


def _same(row: Row, draft: Draft) -> bool:
    return row.model_id == draft.model_id and row.entry_hash == draft.entry_hash


def activation_of(parts: Parts, row: Row) -> Activation:
    """A stored activation as it is shown, with what only the running service knows of it."""
    facts = {name: getattr(row, name) for name in Activation.__struct_fields__ if hasattr(row, name)}
    serving = parts.targets.serves(row.slot, row.id)
    return Activation(
        **facts, catalog_moved_on=_moved_on(parts, row), serving=serving, fetched_by=_fetched_by(row)
    )


def _fetched_by(row: Row) -> str:
    if row.weights is not None:
        return "model-manager"
    model = row.manifest["spec"]["predictor"].get("model") or {}  # one that was taken over may have none
    return "" if str(model.get("storageUri", "pvc://")).startswith("pvc://") else "kserve"


def _moved_on(parts: Parts, row: Row) -> bool:
    """Whether the catalog now says something else of this model than when it was activated."""
    item = parts.catalog.snapshot.items.get(row.model_id)
    return item is None or item.hash != row.entry_hash


async def _any_event(feed: Subscription, seconds: float) -> None:
    """Until something durable happened, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            async for item in feed:
                if isinstance(item, Event):
                    return
    except TimeoutError:
        pass
