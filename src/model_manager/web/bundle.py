"""`/support-bundle`: what a helper who cannot see this machine asks for, as one zip without secrets."""

import asyncio
from sqlite3 import Connection
from typing import Any

import msgspec
from msgspec import structs
from starlette.responses import Response

from model_manager import commands
from model_manager.commands import Parts
from model_manager.events import timestamp
from model_manager.http.routing import Route
from model_manager.logs import REDACTED
from model_manager.metrics import expose
from model_manager.serving import ledger
from model_manager.serving.findings import Finding
from model_manager.web.archive import Member, pack
from model_manager.web.catalog import get_catalog
from model_manager.web.doctor import Examination, doctor
from model_manager.web.gauges import read_gauges
from model_manager.web.history import history_event
from model_manager.web.jobs import job_view
from model_manager.web.machine import machine_facts
from model_manager.web.redaction import Redactor, redacted
from model_manager.web.system import system_info

ACTIVATIONS = 200
EVENTS = 1000
JOBS = 100
JOB_LOGS = 20
LOG_LINES = 2000
EXAMINATION = 20.0
"""Seconds that a look at everything may take."""

README = """\
Support bundle of Model Manager {version}, made {time}.

machine.json        versions, memory, disks
settings.json       every setting with its value and origin
system.json         what GET /system/info answers
doctor.json         what GET /system/doctor answers: what is missing, and what mends it
slots.json          the slots: what is wanted, what serves
manifests.json      the InferenceServices that the slots want or would go back to
runtimes.json       the ServingRuntimes that these name
activations.jsonl   the latest {activations} activations, newest first
jobs.jsonl          the latest {jobs} jobs, newest first
jobs/               logs of the latest {job_logs} of them
history.jsonl       the latest {events} events, newest first
catalog.json        the catalog's source, revision, age and problems
metrics.txt         what GET /metrics answers
slots/              the ends of the model servers' logs

Not in it: the service's own log (`journalctl -u model-manager`, or what its terminal showed). Send that too.

It was redacted: tokens and passwords that the service knows, what looks like one (bearer tokens, keys of Hugging Face,
GitHub, GitLab, AWS and their like, credentials in URLs, private keys), what is called one (`token=...`)
and the values of all environment variables read {redacted}. Look through it before you hand it on: names of models,
hosts, folders and people are still in it, and so is a secret that looks like an ordinary word.
"""


class Bundle(Response):
    """A zip to be saved."""

    media_type = "application/zip"


async def support_bundle(parts: Parts) -> Bundle:
    """Everything that helps to find out what is wrong here, as a zip; secrets are taken out of it.

    Its README.txt says what is inside.
    """
    now = timestamp()
    facts, logs = await _facts(parts), await _logs(parts)
    folders = {"state": parts.places.state, "weights": parts.places.weights}
    data = await asyncio.to_thread(_build, _readme(parts, now), facts, logs, folders)
    name = f"model-manager-support-{now[:19].replace(':', '')}Z.zip"
    return Bundle(data, headers={"content-disposition": f'attachment; filename="{name}"'})


async def _facts(parts: Parts) -> dict[str, Any]:
    """Files by name, as JSON-able values: a list for `.jsonl` is a line each, a text stays as it is."""
    slots = await commands.list_slots(parts)
    activations, _ = await commands.list_activations(parts, limit=ACTIVATIONS)
    events = await parts.events.page(limit=EVENTS, newest_first=True)
    exposition = expose(parts.metrics, await read_gauges(parts))
    manifests = await _manifests(parts)
    return {
        "settings.json": parts.settings,
        "system.json": await system_info(parts),
        "doctor.json": await _examined(parts),
        "slots.json": slots,
        "manifests.json": manifests,
        "runtimes.json": {name: parts.runtimes.get(name) for name in sorted(_runtimes(manifests))},
        "activations.jsonl": activations,
        "jobs.jsonl": [job_view(job) for job in await parts.jobs.list(limit=JOBS)],
        "history.jsonl": [history_event(event) for event in events],
        "catalog.json": await get_catalog(parts),
        "metrics.txt": exposition.body.decode(),
    }


async def _examined(parts: Parts) -> Examination:
    """With an end: what is asked may be what is broken."""
    try:
        async with asyncio.timeout(EXAMINATION):
            return await doctor(parts)
    except TimeoutError:
        said = f"It was not seen within {EXAMINATION:.0f} s whether everything is there."
        return Examination("unknown", [Finding("doctor", "unknown", said)])


async def _manifests(parts: Parts) -> dict[str, dict[str, Any]]:
    """The InferenceServices that the slots want or would go back to, by activation."""

    def read(connection: Connection) -> dict[str, dict[str, Any]]:
        slots = [ledger.slot(connection, name) for name in parts.slots]
        wanted = {id_ for slot in slots for id_ in (slot.desired, slot.last_good) if id_}
        return {id_: ledger.activation(connection, id_).manifest for id_ in sorted(wanted)}

    return await parts.database.read(read)


def _runtimes(manifests: dict[str, dict[str, Any]]) -> set[str]:
    models = (manifest["spec"]["predictor"].get("model") or {} for manifest in manifests.values())
    return {model["runtime"] for model in models if model.get("runtime")}


async def _logs(parts: Parts) -> dict[str, list[str]]:
    """The ends of logs, by file name."""
    found = {f"slots/{name}.log": await commands.slot_logs(parts, name, LOG_LINES) for name in parts.slots}
    for job in await parts.jobs.list(limit=JOB_LOGS):
        found[f"jobs/{job.id}.log"] = await parts.jobs.log(job.id, LOG_LINES)
    return {name: lines for name, lines in found.items() if lines}


def _build(readme: str, facts: dict[str, Any], logs: dict[str, list[str]], folders: dict[str, str]) -> bytes:
    """All of it redacted and packed. Takes a second or so of a big house: not for the event loop's thread."""
    redactor = Redactor()
    facts = {"machine.json": machine_facts(folders), **facts}
    members = [
        Member(name, _text(name, redactor.value(msgspec.to_builtins(fact)))) for name, fact in facts.items()
    ]
    members += [Member(name, redacted("\n".join(lines)) + "\n", "tail") for name, lines in logs.items()]
    # Only now is everything known that was called a secret somewhere.
    safe = (structs.replace(member, text=redactor.known(member.text)) for member in members)
    return pack([Member("README.txt", readme), *safe])


def _text(name: str, fact: Any) -> str:
    if isinstance(fact, str):
        return fact
    if name.endswith(".jsonl"):
        return "".join(msgspec.json.encode(line).decode() + "\n" for line in fact)
    return msgspec.json.format(msgspec.json.encode(fact), indent=2).decode() + "\n"


def _readme(parts: Parts, now: str) -> str:
    return README.format(
        version=parts.version, time=now, redacted=REDACTED, activations=ACTIVATIONS, events=EVENTS, jobs=JOBS,
        job_logs=JOB_LOGS,
    )  # fmt: skip


ROUTES = (Route("GET", "/support-bundle", support_bundle, at_once=1),)
