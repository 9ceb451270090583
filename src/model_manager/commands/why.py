"""Why a slot serves what it serves: looked up here, decided in `serving/why.py`."""

from msgspec import Struct

from model_manager.commands.parts import Parts
from model_manager.commands.slots import drift_of, state_of
from model_manager.errors import ModelManagerError, NotFound
from model_manager.jobs.job import Job
from model_manager.serving import ledger, why
from model_manager.serving.evidence import Evidence
from model_manager.serving.ledger import Row
from model_manager.serving.platform import Difference, Observed, Trouble

LOG_LINES = 40


class Why(Struct, rename="camel"):
    """One cause, one next step, and what they were read from.

    `code` is a failure's, `unknown`, or a word for a state in which nothing is wrong (`serving`, `empty`, a phase).
    `activation` is the attempt that the cause is about; `log` its model server's last lines. After a failure the
    evidence is what was seen when it failed. `drift` is what others have changed in what serves, field by field.
    """

    slot: str
    state: str
    desired: str | None
    serving: str | None
    activation: str | None
    code: str
    cause: str
    next: str
    log: list[str]
    evidence: Evidence
    drift: list[Difference]


async def why_slot(parts: Parts, name: str) -> Why:
    """Never fails for what it looks at: that a cluster or a log cannot be read is a part of the answer."""
    name = parts.slot_named(name)
    desired, latest = await parts.database.read(
        lambda c: (ledger.desired(c, name), ledger.latest_attempt(c, name))
    )
    failed = latest if latest is not None and latest.result in ("failed", "restored") else None
    target = parts.targets.get(name)
    observed, trouble = await _observed(parts, name)
    now = why.Situation(
        slot=name, desired=desired, failed=failed, serving=target.model_id if target else None,
        serves_desired=desired is not None and parts.targets.serves(name, desired.id), observed=observed,
        trouble=trouble, drift=drift_of(parts, desired), job=await _job(parts, desired), log=await _log(parts, name),
    )  # fmt: skip
    found = why.why(now)
    past = failed if failed is not None and found.code == (failed.code or why.UNKNOWN) else None
    about = past or desired
    return Why(
        slot=name, state=state_of(desired, target is not None), desired=desired.model_id if desired else None,
        serving=now.serving, activation=about.id if about else None,
        code=found.code, cause=found.sentence, next=found.hint,
        log=list(past.log_tail if past else now.log),
        evidence=past.evidence if past and past.evidence != Evidence() else await _evidence(parts, name),
        drift=list(now.drift),
    )  # fmt: skip


async def _observed(parts: Parts, name: str) -> tuple[Observed, Trouble | None]:
    try:
        return await parts.platform.observe(name), None
    except ModelManagerError as error:
        return Observed(), Trouble(error.code, error.sentence, error.hint)


async def _job(parts: Parts, row: Row | None) -> Job | None:
    """The job that a wish waits for; one that brought the weights explains nothing."""
    if row is None or row.job_id is None:
        return None
    try:
        job = await parts.jobs.get(row.job_id)
    except NotFound:  # it was long ago
        return None
    return None if job.status == "completed" else job


async def _log(parts: Parts, name: str) -> list[str]:
    try:
        return await parts.platform.logs(name, LOG_LINES)
    except ModelManagerError:  # the evidence says so
        return []


async def _evidence(parts: Parts, name: str) -> Evidence:
    try:
        return await parts.platform.evidence(name)
    except ModelManagerError as error:
        return Evidence(unknown=(error.sentence,))
