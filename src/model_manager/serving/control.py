"""One loop per slot: compares what is desired with what is there, and acts.

The only caller of `Platform.apply` and `delete`.

Every turn starts from the stored rows and a fresh look at the platform, so a crash at any point, a missed
notification or a user's change of mind costs one turn and nothing else.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from sqlite3 import Connection

from msgspec import Struct

from model_manager import logs
from model_manager.catalog.snapshot import CatalogItem
from model_manager.errors import ModelManagerError, TooManyRequests
from model_manager.events import EventLog
from model_manager.jobs.queue import Jobs
from model_manager.metrics import Metrics
from model_manager.relay import Relay
from model_manager.serving import ledger, takeover
from model_manager.serving.activation import Known, Phase, Step, current, decide, left
from model_manager.serving.causes import Causes, Heard, of_defect, of_refusal
from model_manager.serving.drift import Drift
from model_manager.serving.forecaster import Eta, Forecaster
from model_manager.serving.ledger import Failure, Row
from model_manager.serving.memory import MemoryDesk, private_bytes
from model_manager.serving.platform import Instance, Observed, Platform, is_adoption
from model_manager.serving.preparation import Preparation
from model_manager.serving.targets import Target, Targets
from model_manager.serving.timeline import Observe, PhaseTimer, unobserved
from model_manager.serving.verification import Verification
from model_manager.state.database import Database, Transaction
from model_manager.weights.job import INSTALL, install_payload

log = logging.getLogger(__name__)


class Timing(Struct, frozen=True):
    """Seconds: between two looks, from the switch to the first token, for requests in flight, between two questions."""

    interval: float = 5.0
    activation: float = 600.0
    drain: float = 30.0
    retry_verify: float = 0.25


class Shared(Struct, frozen=True):
    """What the loops of all slots use together."""

    database: Database
    events: EventLog
    jobs: Jobs
    platform: Platform
    relay: Relay
    targets: Targets
    memory: MemoryDesk
    preparation: Preparation
    forecaster: Forecaster
    metrics: Metrics
    timing: Timing
    observe: Observe = unobserved
    item_of: Callable[[str], CatalogItem | None] = lambda model_id: None
    repair_drift: bool = True


class SlotLoop:
    """The owner of one slot. `poke` it after any change of what it looks at."""

    def __init__(self, slot: str, shared: Shared) -> None:
        self.slot = slot
        self._do = shared
        self._poked = asyncio.Event()
        self._since: dict[str, float] = {}
        self._drained: str | None = None
        self._verification = Verification(shared.relay, shared.timing.retry_verify, self.poke)
        self._timer = PhaseTimer(slot, shared.observe)
        self._eta = Eta(shared.forecaster)
        self._causes = Causes(shared.platform, shared.jobs)
        self._drift = Drift(slot, shared.platform, shared.database, shared.events, repair=shared.repair_drift)
        self._trouble = ""
        self._ends: tuple[str, int] | None = None

    def poke(self) -> None:
        self._poked.set()

    async def run(self) -> None:
        """Turn for ever. A turn that fails is told and tried again: a loop that ends would be a slot nobody owns."""
        while True:
            self._poked.clear()
            wait = self._do.timing.interval
            try:
                await self.turn()
                self._trouble = ""
            except ModelManagerError as e:
                self._trouble = e.sentence
                log.warning("slot %s: %s %s", self.slot, e.sentence, e.hint)
                wait = min(wait, 1.0)
            except Exception:
                log.exception("slot %s: this turn went wrong; the next one starts afresh", self.slot)
                wait = min(wait, 1.0)
            await self._sleep(wait)

    async def turn(self) -> None:
        """One look, one step."""
        row, good = await self._do.database.read(self._rows)
        logs.activation_id.set(row.id if row else "")
        self._follow(row)
        observed = await self._do.platform.observe(self.slot)
        self._close_stale_target(observed)
        serves = row is not None and self._do.targets.serves(self.slot, row.id)
        self._do.targets.expect(self.slot, await self._eta.coming(row, observed, serves=serves))
        await self._tell_crash(row, observed)
        if row is None or row.result in ledger.ENDS:
            if not await self._take_over(observed):
                await self._clear(row, observed)
            return
        if row.phase in ("queued", "installing") and good is not None and good.id != row.id:
            await self._tend(good, observed)
        known = await self._look(row, observed)
        step = decide(row.id, row.phase, known)
        log.debug("slot %s: %s in %s: %s", self.slot, row.id, row.phase, step)
        await self._carry_out(step, row, observed)

    def _rows(self, connection: Connection) -> tuple[Row | None, Row | None]:
        at = ledger.slot(connection, self.slot)
        good = ledger.activation(connection, at.last_good) if at.last_good else None
        return ledger.desired(connection, self.slot), good

    async def _look(self, row: Row, observed: Observed) -> Known:
        preparing = row.phase in ("queued", "installing")
        # The job is asked before the disk: a job that ends in between must not look like one that left nothing.
        badly = preparing and await self._causes.of_job(row) is not None
        return Known(
            weights_ready=not preparing or await self._do.preparation.weights_ready(row),
            job_ended_badly=badly,
            observed=observed,
            verdict=self._verification.word(current(row.id, observed)),
            overdue=self._waited(row) > self._do.timing.activation,
        )

    async def _carry_out(self, step: Step, row: Row, observed: Observed) -> None:
        instance = current(row.id, observed)
        match step:
            case Step.INSTALL:
                await self._install(row, observed)
            case Step.ADMIT:
                await self._admit(row, observed)
            case Step.STOP_OLD:
                await self._replace(row, observed)
            case Step.START_AGAIN:
                await self._enter(row, "starting", reason="It was not running any more.")
            case Step.SAY_STARTING:
                await self._enter(row, "starting")
            case Step.VERIFY if instance is not None:
                if row.phase == "starting":
                    await self._enter(row, "verifying")
                self._verification.ask(instance, row.entry)
            case Step.ACTIVE if instance is not None:
                await self._succeed(row, instance)
            case Step.SERVE if instance is not None:
                self._serve(row, instance)
                await self._drift.look(row)
            case (
                Step.FAIL_INSTALL
                | Step.FAIL_EXIT
                | Step.FAIL_PLATFORM
                | Step.FAIL_DEADLINE
                | Step.FAIL_VERIFY
            ):
                await self._fail(
                    row,
                    observed,
                    await self._causes.of(step, row, observed, self._verification.verdict, self._heard(row)),
                )
            case _:
                pass

    # -- getting ready: nothing is stopped yet ------------------------------------------------------------

    async def _install(self, row: Row, observed: Observed) -> None:
        assert row.weights is not None  # else there is nothing to wait for
        folder, actor = row.weights, row.actor
        payload = install_payload(row.entry, row.entry_hash, folder, actor)

        def submit(txn: Transaction) -> None:
            job = self._do.jobs.enqueue(txn, INSTALL, folder, payload, actor)
            ledger.enter(txn, self._do.events, row, "installing", job=job.id)

        await self._attempt(row, observed, self._do.database.write(submit))
        self.poke()

    async def _admit(self, row: Row, observed: Observed) -> None:
        try:
            await self._do.platform.check(row.manifest)
            need = await self._do.preparation.memory_needed(row)
            freed = sum(private_bytes(instance.pid) for instance in observed.instances if instance.pid)
            if need is not None:
                self._do.memory.admit(self.slot, need, freed)
        except ModelManagerError as e:
            if _may_pass(e):
                raise
            await self._fail(row, observed, of_refusal(e))
            return
        except Exception as e:
            # The next turn would meet it again, and so for ever.
            log.exception("slot %s: %s could not be prepared", self.slot, row.model_id)
            await self._fail(row, observed, of_defect(e))
            return
        await self._enter(row, "starting" if observed.empty else "stopping")

    # -- the switch ---------------------------------------------------------------------------------------

    async def _replace(self, row: Row, observed: Observed) -> None:
        """Stop sending requests to the old model, let those in flight end, then want the new one."""
        self._do.targets.close(self.slot)
        if self._drained != row.id:
            await self._do.targets.drained(self.slot, self._do.timing.drain)
            self._drained, self._since[row.id] = row.id, time.monotonic()
            self.poke()  # look again: while waiting, something else may have been asked for
            return
        await self._attempt(row, observed, self._do.platform.apply(row.manifest))
        self._since[row.id] = time.monotonic()
        self.poke()

    async def _succeed(self, row: Row, instance: Instance) -> None:
        """Requests may come before the commit that says so, never after it and in vain."""
        seconds = self._waited(row)
        self._serve(row, instance)
        wanted = await self._do.database.write(lambda txn: ledger.succeed(txn, self._do.events, row, seconds))
        if not wanted:
            self._do.targets.close(self.slot)
            return
        self._forget(row)
        self._ends = (row.id, instance.restarts)
        self._timer.end("active")
        self._do.metrics.activation_ended(self.slot, "active")
        log.info("slot %s: %s is active", self.slot, row.model_id)

    def _serve(self, row: Row, instance: Instance) -> None:
        assert instance.url is not None
        known = self._do.targets.get(self.slot)
        if known is not None and known.instance == instance.run:
            return
        self._do.targets.open(
            Target(
                slot=self.slot, model_id=row.model_id, activation=row.id, instance=instance.run,
                url=instance.url, key=instance.key, served_name=row.entry.served_name, aliases=row.entry.aliases,
                since=int(time.time()),
            )
        )  # fmt: skip

    async def _tell_crash(self, row: Row | None, observed: Observed) -> None:
        """A served model that ended and is started again would otherwise leave no trace in the history."""
        instance = current(row.id, observed) if row is not None and row.phase == "active" else None
        if row is None or instance is None:
            self._ends = None
            return
        known, self._ends = self._ends, (row.id, instance.restarts)
        if known is None or known[0] != row.id or known[1] >= instance.restarts:
            return
        log.warning("slot %s: %s ended: %s", self.slot, row.model_id, instance.reason)
        data = {
            "modelId": row.model_id, "slot": self.slot, "activation": row.id, "reason": instance.reason,
            "exitCode": instance.exit_code, "restarts": instance.restarts,
        }  # fmt: skip
        await self._do.database.write(
            lambda txn: self._do.events.append(txn, "model_server_ended", self.slot, data)
        )

    # -- the ends -----------------------------------------------------------------------------------------

    async def _fail(self, row: Row, observed: Observed, failure: Failure) -> None:
        log.warning("slot %s: %s failed: %s", self.slot, row.model_id, failure.reason)
        held = observed.activation
        await self._do.database.write(
            lambda txn: ledger.settle(txn, self._do.events, row, "failed", failure, "system", held)
        )
        self._do.targets.give_up(self.slot, failure.reason)
        self._forget(row)
        self._timer.end("failed")
        self._do.metrics.activation_ended(self.slot, "failed")
        self.poke()

    async def _attempt(self, row: Row, observed: Observed, doing: Awaitable[object]) -> None:
        """Do something for an attempt; a refusal is the attempt's failure, not the loop's."""
        try:
            await doing
        except ModelManagerError as e:
            if _may_pass(e):
                raise  # the platform or the disk may come back; the next turn tries again
            await self._fail(row, observed, of_refusal(e))

    async def _clear(self, row: Row | None, observed: Observed) -> None:
        """Nothing is wanted, or what was has failed: take away what is there, or go on with it."""
        held = observed.activation
        if held is None:
            return
        holds = await self._do.database.read(lambda c: ledger.activation(c, held))
        step = left(row.id if row else None, holds.result, observed)
        if step is Step.TAKE_BACK and row is not None:
            failed = row.id
            log.warning("slot %s: %s is there still; it goes on", self.slot, holds.model_id)
            await self._do.database.write(lambda txn: ledger.take_back(txn, self._do.events, holds, failed))
            self.poke()
        elif step is Step.REMOVE:
            await self._remove(holds)

    async def _remove(self, holds: Row) -> None:
        """Let requests in flight end, then stop what is there."""
        self._do.targets.close(self.slot)
        await self._do.targets.drained(self.slot, self._do.timing.drain)
        row, _ = await self._do.database.read(self._rows)
        if row is not None and row.result not in ledger.ENDS:
            return
        if is_adoption(holds.manifest) and holds.result != "active":
            await self._do.platform.release(self.slot)  # it was never ours for long
        else:
            await self._do.platform.delete(self.slot)

    async def _take_over(self, observed: Observed) -> bool:
        """What serves and is in no row of ours is from before the state was lost: it goes on. Whether that was so."""
        found = observed.activation
        if found is None or await self._do.database.read(lambda c: ledger.is_known(c, found)):
            return False
        applied = await self._do.platform.applied(self.slot)
        if applied is None:
            return True  # it is not told apart yet; nothing is stopped for that
        label = takeover.model_of(applied)
        draft = takeover.draft_of(applied, found, self._do.item_of(label))
        log.warning("slot %s: %s runs and is in no record; it is taken over", self.slot, draft.model_id)
        await self._do.database.write(lambda txn: ledger.take_over(txn, self._do.events, draft))
        self.poke()
        return True

    async def _tend(self, good: Row, observed: Observed) -> None:
        """Keep the last good model serving while its successor's weights are still on their way."""
        step = decide(
            good.id,
            "active",
            Known(observed=observed, verdict=self._verification.word(current(good.id, observed))),
        )
        instance = current(good.id, observed)
        if step is Step.START_AGAIN:
            await self._do.platform.apply(good.manifest)
        elif step is Step.VERIFY and instance is not None:
            self._verification.ask(instance, good.entry)
        elif step is Step.SERVE and instance is not None:
            self._serve(good, instance)

    # -- small things -------------------------------------------------------------------------------------

    async def _enter(self, row: Row, phase: Phase, reason: str = "") -> None:
        self._since.setdefault(row.id, time.monotonic())
        await self._do.database.write(
            lambda txn: ledger.enter(txn, self._do.events, row, phase, reason=reason)
        )
        self.poke()

    def _follow(self, row: Row | None) -> None:
        if row is not None and row.result is None:
            self._timer.see(row.id, row.model_id, row.phase)
        else:
            self._timer.end("overtaken")

    def _heard(self, row: Row) -> Heard:
        return Heard(self._trouble, self._waited(row))

    def _waited(self, row: Row) -> float:
        """Seconds since the switch began, as far as this process has seen it (clocks may jump)."""
        if row.phase in ("queued", "installing"):
            return 0.0
        return time.monotonic() - self._since.setdefault(row.id, time.monotonic())

    def _forget(self, row: Row) -> None:
        self._since.pop(row.id, None)
        self._do.memory.settle(self.slot)
        self._drained = None

    def _close_stale_target(self, observed: Observed) -> None:
        target = self._do.targets.get(self.slot)
        if target is None:
            return
        alive = {
            instance.run for instance in observed.instances if instance.ready and instance.state == "running"
        }
        if target.instance not in alive:
            self._do.targets.close(self.slot)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), seconds)


def _may_pass(error: ModelManagerError) -> bool:
    return error.status >= 500 or isinstance(error, TooManyRequests)
