"""Why an attempt failed: asked of whoever knows, when a slot's loop has decided that it did."""

import asyncio
import logging

from msgspec import Struct, structs

from model_manager.errors import ModelManagerError
from model_manager.jobs.queue import Jobs
from model_manager.serving.activation import Step, current
from model_manager.serving.diagnose import NOT_READY, diagnose
from model_manager.serving.evidence import Evidence
from model_manager.serving.ledger import Failure, Row
from model_manager.serving.platform import Instance, Observed, Platform
from model_manager.serving.verify import Verdict

log = logging.getLogger(__name__)

LOOK = 3.0
"""Seconds that a look at the evidence may take: what served before waits to be put back meanwhile."""


class Heard(Struct, frozen=True):
    """What the loop itself met: the sentence of its last turn's error, and the seconds it waited."""

    trouble: str
    waited: float


class Causes:
    """Asks the platform for its last lines, and the jobs for how they ended."""

    def __init__(self, platform: Platform, jobs: Jobs) -> None:
        self._platform, self._jobs = platform, jobs

    async def of_job(self, row: Row) -> Failure | None:
        """Why the job cannot give this attempt its weights (if it did, nobody asks); None while it may."""
        if row.job_id is None:
            return None
        job = await self._jobs.get(row.job_id)
        if job.status == "completed":
            return Failure(
                "install_outdated",
                f"The weights of {row.model_id} were installed as another version of its entry asks.",
                "The catalog changed meanwhile: activate it again.",
            )
        if job.status not in ("failed", "cancelled"):
            return None
        error = job.error or {}
        sentence = error.get("sentence") or f"The installation of the weights was {job.status}."
        return Failure(error.get("code", f"install_{job.status}"), sentence, error.get("hint", ""))

    async def of(
        self, step: Step, row: Row, observed: Observed, verdict: Verdict | None, heard: Heard
    ) -> Failure:
        """The cause as the platform knows it, else as the log tells it, else as it ended; and what shows it."""
        if step is Step.FAIL_INSTALL:
            failure = await self.of_job(row)
            assert failure is not None
            return failure
        failure = await self._of_start(step, row, observed, verdict, heard)
        return structs.replace(failure, evidence=await self._evidence(row.slot))

    async def _of_start(
        self, step: Step, row: Row, observed: Observed, verdict: Verdict | None, heard: Heard
    ) -> Failure:
        instance, trouble = current(row.id, observed), observed.trouble
        tail = await self._last_lines(row.slot, instance)
        if step is Step.FAIL_VERIFY and verdict is not None:
            return Failure(verdict.code, verdict.sentence, verdict.hint, None, tail)
        exit_code = instance.exit_code if instance else None
        if trouble is not None and trouble.code != NOT_READY:  # it knows better than what it left in the log
            return Failure(trouble.code, trouble.sentence, trouble.hint, exit_code, tail)
        found = diagnose(
            phase=row.phase, exit_code=exit_code if step is Step.FAIL_EXIT else None, log_tail=tail,
            reason=heard.trouble or (trouble.sentence if trouble else _last_word(step, instance, verdict)),
            waited_seconds=heard.waited,
        )  # fmt: skip
        return Failure(found.code, found.sentence, found.hint, exit_code, tail)

    async def _evidence(self, slot: str) -> Evidence:
        """As it is now: a moment later the pods of a failed attempt are gone."""
        try:
            async with asyncio.timeout(LOOK):
                return await self._platform.evidence(slot)
        except TimeoutError:
            return Evidence(
                unknown=(f"What the platform showed is not known: it took longer than {LOOK:.0f} s.",)
            )
        except ModelManagerError as e:
            return Evidence(unknown=(e.sentence,))

    async def _last_lines(self, slot: str, instance: Instance | None) -> tuple[str, ...]:
        try:
            lines = await self._platform.logs(slot, 40)
        except ModelManagerError as e:  # a log that may not be read must not hide how it ended
            log.warning("slot %s: %s", slot, e.sentence)
            lines = []
        return tuple(lines) or (instance.log_tail if instance else ())


def _last_word(step: Step, instance: Instance | None, verdict: Verdict | None) -> str:
    if step is Step.FAIL_DEADLINE and verdict is not None:
        return verdict.sentence
    return instance.reason if instance else ""


def of_refusal(error: ModelManagerError) -> Failure:
    """What was refused before or at its start, by the code of its cause where one is named."""
    return Failure(str(error.data.get("cause", error.code)), error.sentence, error.hint)


def of_defect(error: Exception) -> Failure:
    """Ours: nothing that a user could mend."""
    sentence = f"The model could not be prepared because of a defect in the service ({type(error).__name__})."
    return Failure("internal", sentence, "The service's log has the details.")
