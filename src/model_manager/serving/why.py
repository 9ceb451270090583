"""Why a slot serves what it serves: one cause and one next step, from what is stored and what is there. Pure.

The most urgent goes first: that nothing serves, then that the newest wish failed, then what a wish still waits for.
"""

from collections.abc import Sequence

from msgspec import Struct

from model_manager.jobs.job import Job
from model_manager.serving.activation import current, others
from model_manager.serving.diagnose import NOT_READY, Diagnosis, diagnose
from model_manager.serving.ledger import Row
from model_manager.serving.platform import Difference, Instance, Observed, Trouble

UNKNOWN = "unknown"
WATCH = "Wait; `model-manager status --watch` shows how it goes on."


class Situation(Struct, frozen=True):
    """Everything a cause may be read from. `failed` is what a user asked for last, if that failed.

    `trouble` is why the platform could not be looked at, None if it was: then `observed` is what was seen, and `drift`
    what others have changed in what serves.
    """

    slot: str
    desired: Row | None = None
    failed: Row | None = None
    serving: str | None = None
    serves_desired: bool = False
    observed: Observed = Observed()
    trouble: Trouble | None = None
    drift: Sequence[Difference] = ()
    job: Job | None = None
    log: Sequence[str] = ()


def why(now: Situation) -> Diagnosis:
    """The code is a failure's, or a word for a state in which nothing is wrong: `serving`, `empty` or a phase."""
    desired = now.desired
    down = desired is not None and desired.phase == "active" and desired.result == "active"
    if desired is not None and down and not now.serves_desired:
        return _not_serving(now, desired)
    if desired is None:
        return _empty(now)
    if now.failed is not None:
        return _failed(now, now.failed)
    if now.serves_desired:
        return _serving(now, desired)
    return _on_its_way(now, desired)


def _empty(now: Situation) -> Diagnosis:
    """What failed before is past: somebody has wished for nothing since."""
    if trouble := now.trouble or now.observed.trouble:
        return Diagnosis(
            trouble.code, f"Nothing is wanted of this slot. {trouble.sentence}", trouble.hint or WATCH
        )
    return Diagnosis(
        "empty", "Nothing is wanted of this slot.",
        f"`model-manager models` lists what there is, `model-manager slots set {now.slot} ID` serves one.",
    )  # fmt: skip


def _serving(now: Situation, row: Row) -> Diagnosis:
    if not now.drift:
        return Diagnosis("serving", f"{row.model_id} serves, as is wanted.", "Nothing is to be done.")
    who = ", ".join(sorted({one.by or "somebody else" for one in now.drift}))
    fields = ", ".join(one.field for one in now.drift[:3])
    more = f" and {len(now.drift) - 3} more fields" if len(now.drift) > 3 else ""
    return Diagnosis(
        "serving", f"{row.model_id} serves, but not as it was applied: {who} changed {fields}{more}.",
        f"With MODEL_MANAGER_DRIFT=repair it is put back; `model-manager slots show {now.slot}` shows what was wanted.",
    )  # fmt: skip


def _failed(now: Situation, failed: Row) -> Diagnosis:
    desired = now.desired
    if now.serving is not None:
        instead = f"{now.serving} serves instead."
    elif desired is not None and desired.result is None:
        instead = f"{desired.model_id} is being put back ({desired.phase})."
    else:
        instead = "Nothing serves."
    again = f"`model-manager slots set {now.slot} {failed.model_id}` tries it again."
    return Diagnosis(
        failed.code or UNKNOWN,
        f"{failed.model_id} failed: {_ended(failed.reason or 'for a reason that was not recorded')} {instead}",
        f"{failed.hint} {again}".strip(),
    )


def _not_serving(now: Situation, row: Row) -> Diagnosis:
    if found := _seen(now, row):
        return found
    instance = current(row.id, now.observed)
    if now.observed.activation != row.id:
        said = "It is not there any more; it is being started again."
        return Diagnosis("starting", f"{row.model_id} does not serve: {said}", WATCH)
    if instance is not None and instance.ready:
        said = (
            f"{row.model_id} is ready and is being asked for its name and a token, before requests go to it."
        )
        return Diagnosis("verifying", said, WATCH)
    if instance is not None and instance.state == "running":
        said = "it runs, and does not pass its health probe."
        hint = f"If its log stands still, look there: `model-manager logs {now.slot}`."
        return Diagnosis(NOT_READY, f"{row.model_id} does not serve: {said}", hint)
    return _unknown(now, f"Why {row.model_id} does not serve is not known here.")


def _on_its_way(now: Situation, row: Row) -> Diagnosis:
    if row.phase in ("queued", "installing"):
        return _preparing(now, row)
    if found := _seen(now, row):
        return found
    left = [instance.name for instance in others(row.id, now.observed)]
    if left and row.phase in ("stopping", "starting"):
        return Diagnosis(
            "stopping", f"{row.model_id} waits until what served before has ended: {', '.join(left)}.",
            "Wait; what does not end in its grace period is killed.",
        )  # fmt: skip
    words = {"stopping": "is about to be started", "starting": "is loading", "verifying": "is being verified"}
    return Diagnosis(row.phase, f"{row.model_id} {words[row.phase]}, since {row.phase_at}.", WATCH)


def _preparing(now: Situation, row: Row) -> Diagnosis:
    job, beside = now.job, f"; {now.serving} still serves" if now.serving else ""
    if job is None:
        return Diagnosis("queued", f"{row.model_id} waits for its turn{beside}.", WATCH)
    if job.error:
        said = f"the last try of its job failed: {job.error.get('sentence', '')}"
        return Diagnosis(
            str(job.error.get("code", UNKNOWN)), f"The weights of {row.model_id} are not there yet{beside}; {said}",
            str(job.error.get("hint") or f"`model-manager jobs show {job.id}` has more."),
        )  # fmt: skip
    doing = "are being installed" if job.status == "running" else "wait to be installed"
    return Diagnosis(
        "installing", f"The weights of {row.model_id} {doing}{beside}.",
        f"Wait; `model-manager jobs wait {job.id}` shows how far they are.",
    )  # fmt: skip


def _seen(now: Situation, row: Row) -> Diagnosis | None:
    """What the platform says of it, or what is left of a server that ended."""
    trouble = now.trouble or now.observed.trouble
    instance = current(row.id, now.observed)
    ended = instance is not None and (
        instance.state == "exited" or bool(instance.restarts and not instance.ready)
    )
    if trouble is not None and not (ended and trouble.code == NOT_READY):
        return Diagnosis(
            trouble.code, f"{row.model_id} does not serve: {trouble.sentence}", trouble.hint or WATCH
        )
    if instance is not None and ended:
        return _of_end(now, row, instance)
    return None


def _of_end(now: Situation, row: Row, instance: Instance) -> Diagnosis:
    found = diagnose(
        phase=row.phase,
        exit_code=instance.exit_code,
        log_tail=now.log or instance.log_tail,
        reason=instance.reason,
    )
    again = "It is not started again." if instance.gave_up else "It is started again."
    return Diagnosis(
        found.code, f"{row.model_id} does not serve: {_ended(found.sentence)} {again}", found.hint
    )


def _unknown(now: Situation, sentence: str) -> Diagnosis:
    lines = [line.strip() for line in now.log if line.strip()][-3:]
    said = f" Its last lines: {' | '.join(lines)}" if lines else " It wrote nothing."
    return Diagnosis(UNKNOWN, sentence + said, f"Look at the whole log: `model-manager logs {now.slot}`.")


def _ended(sentence: str) -> str:
    """With a full stop: one that quotes a log's last line has none."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
