"""What a user can ask for, one function each. Web, quickstart and tests call these.

A command writes desired state in one transaction and returns; the slot's loop or the job runner makes it so.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from sqlite3 import Connection

from msgspec import Struct, field

from model_manager import logs
from model_manager.catalog.catalog import Catalog
from model_manager.catalog.entry import Entry
from model_manager.catalog.snapshot import CatalogItem, Snapshot
from model_manager.errors import Conflict, InvalidRequest, ModelManagerError, NotFound
from model_manager.events import Event, EventLog, Subscription
from model_manager.jobs.job import Job
from model_manager.jobs.queue import Jobs
from model_manager.metrics import History, Metrics
from model_manager.serving import ledger, takeover
from model_manager.serving.activation import Result, current
from model_manager.serving.control import SlotLoop
from model_manager.serving.forecast import Forecast, forecast_of_served
from model_manager.serving.ledger import Draft, Failure, Row
from model_manager.serving.outlook import Outlook
from model_manager.serving.platform import ADOPT_ANNOTATION, Manifest, Platform
from model_manager.serving.runtime import ServingRuntime
from model_manager.serving.targets import Targets
from model_manager.state.database import Database, Transaction
from model_manager.tokens import Tokens
from model_manager.weights.job import INSTALL, install_payload
from model_manager.weights.names import check_folder
from model_manager.weights.store import WeightStore
from model_manager.weights.uri import flattened, folder_of

Render = Callable[[CatalogItem, str, str], tuple[Manifest, str | None]]
"""(item, slot, activation) -> its manifest, and the folder of the weights that are installed for it, if any."""


class Places(Struct, frozen=True):
    """Where things lie, for people to read. `models_subdir` is the folder of the entries inside the catalog."""

    catalog: str
    models_subdir: str
    weights: str
    pvc_name: str
    state: str


class Webhook(Struct, frozen=True):
    """What a Git host's call is checked with. `secret` reads it afresh and may raise SettingsError; None: not set.

    `ref` is the branch, tag or commit that the catalog follows, None where somebody else keeps its folder.
    """

    secret: Callable[[], str | None]
    ref: str | None


class Parts(Struct):
    """The running service, as its commands see it. Made by `app.py`. `started_at` is in seconds since the epoch."""

    version: str
    started_at: float
    database: Database
    events: EventLog
    tokens: Tokens
    jobs: Jobs
    catalog: Catalog
    weights: WeightStore
    platform: Platform
    targets: Targets
    loops: dict[str, SlotLoop]
    default_slot: str
    render: Render
    outlook: Outlook
    runtimes: Mapping[str, ServingRuntime]
    metrics: Metrics
    places: Places
    settings: list[dict[str, str]]
    webhook: Webhook
    problems: Callable[[], list[str]]
    connections: Callable[[], int] = lambda: 0
    samples: History = field(default_factory=History)

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(self.loops)


class Activation(Struct, rename="camel"):
    """One attempt, as shown to users. `result` is None while it is under way; `serving`: requests go to it now."""

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


class Slot(Struct, rename="camel"):
    """A slot: what is desired of it, and what serves. `state` is `empty`, `active`, `failed` or the phase under way.

    `reason` says why the desired model does not serve now ("" when it does, or is just on its way);
    `last_failure` is what a user last asked for, if that failed, whatever serves instead.
    """

    name: str
    state: str
    desired: Activation | None
    serving: str | None
    last_good: str | None
    in_flight: int
    reason: str
    last_failure: Activation | None


# -- slots and activations --------------------------------------------------------------------------------


async def activate(parts: Parts, model_id: str, *, slot: str | None = None, actor: str) -> Activation:
    """Make a slot want this model. The same wish twice is one activation.

    Raises NotFound, Unavailable (an entry without a good version) or Unprocessable (it cannot be rendered).
    """
    item = parts.catalog.item(model_id)
    draft = _draft(parts, item, _slot_name(parts, slot), actor)

    def write(txn: Transaction) -> str:
        row = _wanted(txn, draft.slot)
        if row is not None and row.result in (None, "active") and _same(row, draft):
            return row.id
        if ledger.begin(txn, parts.events, draft):
            txn.after_commit(lambda: parts.metrics.activation_ended(draft.slot, "superseded"))
        return draft.id

    activation_id = await parts.database.write(write)
    logs.activation_id.set(activation_id)
    parts.loops[draft.slot].poke()
    return await get_activation(parts, activation_id)


async def adopt(parts: Parts, slot: str, model_id: str | None, actor: str) -> Activation:
    """Take over what somebody else made under a slot's name: nothing of it is restarted, and it is verified next.

    `model_id` says which entry of the catalog it is; without one the object's own word for that is taken.
    Raises NotFound where there is nothing to take over.
    """
    name = _slot_name(parts, slot)
    found = await parts.platform.foreign(name)
    if found is None:
        raise NotFound(
            f"There is nothing to take over: nobody else made an InferenceService {name}.",
            "On a cluster, one of that name in ACTIVE_NAMESPACE that this service did not make can be.",
        )
    model = model_id or takeover.said_model(found)
    if model is None:
        raise InvalidRequest(
            f"The InferenceService {name} does not say which model of the catalog it serves.",
            'Send {"model": "…"}, or `model-manager slots adopt SLOT MODEL`.',
        )
    draft = _draft(parts, parts.catalog.item(model), name, actor)
    draft.manifest["metadata"].setdefault("annotations", {})[ADOPT_ANNOTATION] = "true"
    if draft.weights and await asyncio.to_thread(parts.weights.find, draft.weights) is None:
        draft.weights = None  # what serves has its weights, wherever they lie: nothing is to be installed
    await parts.database.write(lambda txn: ledger.begin(txn, parts.events, draft))
    parts.loops[name].poke()
    return await get_activation(parts, draft.id)


async def deactivate(parts: Parts, *, slot: str | None = None, actor: str) -> tuple[str, Slot]:
    """Make a slot want nothing, now and after every restart. Returns `deleted` or `already_deleted`, and the slot."""
    name = _slot_name(parts, slot)

    def write(txn: Transaction) -> str:
        row = _wanted(txn, name)
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
    return _show(parts, await parts.database.read(lambda c: ledger.activation(c, activation_id)))


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
    shown = found[:limit]
    return [_show(parts, row) for row in shown], shown[-1].seq if len(found) > limit else None


async def forecast(parts: Parts, model_id: str, slot: str | None = None) -> Forecast:
    """How long activating this model would take. Raises as `activate` does; changes nothing."""
    draft = _draft(parts, parts.catalog.item(model_id), _slot_name(parts, slot), "forecast")
    row = await parts.database.read(lambda c: _wanted(c, draft.slot))
    if row is not None and _same(row, draft) and parts.targets.serves(draft.slot, row.id):
        return forecast_of_served(row.model_id)
    observed = await parts.platform.observe(draft.slot)
    return await parts.outlook.forecast(draft.entry, draft.weights, replaces=not observed.empty)


async def list_slots(parts: Parts) -> list[Slot]:
    return [await get_slot(parts, name) for name in parts.slots]


async def get_slot(parts: Parts, name: str) -> Slot:
    name = _slot_name(parts, name)
    at, row, latest = await parts.database.read(
        lambda c: (ledger.slot(c, name), _wanted(c, name), ledger.latest_attempt(c, name))
    )
    target = parts.targets.get(name)
    failed = latest is not None and latest.result in ("failed", "restored")
    return Slot(
        name=name, state=_state(row, target is not None), desired=_show(parts, row) if row else None,
        serving=target.model_id if target else None, last_good=at.last_good, in_flight=parts.targets.in_flight(name),
        reason=await _reason(parts, row), last_failure=_show(parts, latest) if latest and failed else None,
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


async def slot_logs(parts: Parts, name: str, lines: int) -> list[str]:
    """The last lines of the slot's model server, oldest first."""
    return await parts.platform.logs(_slot_name(parts, name), lines)


async def active_object(parts: Parts, slot: str | None = None) -> Manifest | None:
    """The InferenceService of the model that serves a slot, None while nothing does."""
    target = parts.targets.get(_slot_name(parts, slot))
    if target is None:
        return None
    row = await parts.database.read(lambda c: ledger.activation(c, target.activation))
    return row.manifest


# -- catalog ----------------------------------------------------------------------------------------------


async def refresh(parts: Parts, actor: str) -> Snapshot:
    """Look at the catalog's source now."""
    return await parts.catalog.refresh(actor)


def render_manifest(parts: Parts, item: CatalogItem, slot: str | None = None) -> Manifest:
    """The InferenceService that activating this would want. Raises Unprocessable when it cannot be rendered."""
    return _draft(parts, item, _slot_name(parts, slot), "preview").manifest


# -- weights and jobs -------------------------------------------------------------------------------------


async def install(
    parts: Parts, *, model_id: str | None = None, hf_model_id: str | None = None, revision: str | None = None,
    target: str | None = None, files: tuple[str, ...] = (), overwrite: bool = False, actor: str,
) -> Job:  # fmt: skip
    """Queue the installation of a catalog entry's weights, or of a Hub repository that no entry names.

    The same installation asked for twice is one job. Raises InvalidRequest for a `target` that is no plain folder.
    """
    if (model_id is None) == (hf_model_id is None):
        raise InvalidRequest("Name either a model of the catalog or a Hub repository.", 'Send {"id": "…"}.')
    if model_id is not None:
        item = parts.catalog.item(model_id)
        entry, hash_, folder = item.entry, item.hash, folder_of(item.entry)
    else:
        assert hf_model_id is not None
        folder, hash_ = check_folder(target or flattened(hf_model_id)), ""
        name = flattened(hf_model_id)[:63].strip("-.")
        entry = Entry(id=name, hf_model_id=hf_model_id, hf_revision=revision, files=files)
    payload = install_payload(entry, hash_, folder, actor, overwrite)
    return await parts.jobs.submit(INSTALL, folder, payload, actor)


async def delete_weights(parts: Parts, name: str, actor: str) -> None:
    """Delete installed weights. Raises NotFound, or Conflict naming what uses them or is installing them.

    The folder is renamed away inside the transaction that checks its uses, so no activation can come between.
    """
    found = await asyncio.to_thread(parts.weights.find, name)
    if found is None:
        raise NotFound(f"No weights are installed in {name!r}.", "`model-manager weights` lists them.")

    def write(txn: Transaction) -> Callable[[], None]:
        users = ledger.uses(txn, name).get(name)
        if users:
            raise Conflict(
                f"Weights {name} are used by {', '.join(users)}.", "Deactivate or switch it first."
            )
        job = parts.jobs.unfinished(txn, INSTALL, name)
        if job:
            raise Conflict(
                f"Weights {name} are being installed by job {job}.", f"`model-manager jobs cancel {job}`."
            )
        data = {"name": name, "modelId": found.entry or name, "sizeBytes": found.size}
        parts.events.append(txn, "weight_deleted", name, data, actor)
        return parts.weights.trash(name)

    free = await parts.database.write(write)
    await asyncio.to_thread(free)


async def weights_in_use(parts: Parts) -> dict[str, list[str]]:
    """Installed folders in use, each with its users."""
    return await parts.database.read(lambda c: ledger.uses(c))


# -- small things -----------------------------------------------------------------------------------------


def _draft(parts: Parts, item: CatalogItem, slot: str, actor: str) -> Draft:
    entry, activation_id = item.entry, ledger.new_id()
    manifest, weights = parts.render(item, slot, activation_id)
    return Draft(
        id=activation_id, slot=slot, model_id=entry.id, entry=entry, entry_hash=item.hash,
        revision=item.revision, manifest=manifest, weights=weights, actor=actor,
    )  # fmt: skip


def _same(row: Row, draft: Draft) -> bool:
    return row.model_id == draft.model_id and row.entry_hash == draft.entry_hash


def _wanted(connection: Transaction | Connection, slot: str) -> Row | None:
    at = ledger.slot(connection, slot)
    return ledger.activation(connection, at.desired) if at.desired else None


def _slot_name(parts: Parts, slot: str | None) -> str:
    name = slot or parts.default_slot
    if name not in parts.loops:
        raise NotFound(
            f"There is no slot {name!r}.",
            f"Slots are declared in MODEL_MANAGER_SLOTS: {', '.join(parts.slots)}.",
        )
    return name


def _state(row: Row | None, serving: bool) -> str:
    if row is None:
        return "empty"
    if row.result in ledger.ENDS:
        return "failed"
    if row.phase == "active" and not serving:
        return "starting"  # again, after a crash or a restart of the service
    return row.phase


def _show(parts: Parts, row: Row) -> Activation:
    facts = {name: getattr(row, name) for name in Activation.__struct_fields__ if hasattr(row, name)}
    serving = parts.targets.serves(row.slot, row.id)
    return Activation(**facts, catalog_moved_on=_moved_on(parts, row), serving=serving)


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
