"""`/catalog/preview`, `/catalog/validate` and `/models/test`: what would become of an entry if it was activated."""

import asyncio
from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from model_manager import commands
from model_manager.catalog.entry import Entry
from model_manager.catalog.files import hash_of
from model_manager.catalog.parse import parse
from model_manager.catalog.problem import Problem
from model_manager.catalog.snapshot import CatalogItem
from model_manager.commands import Parts
from model_manager.errors import InvalidRequest, Unprocessable
from model_manager.events import timestamp
from model_manager.http.routing import Reply, Route
from model_manager.serving.findings import Finding
from model_manager.serving.platform import Manifest
from model_manager.serving.validation import Check, Found, checks, folder_or_none
from model_manager.web.models import InSlot

THE_BODY = "body"
"""The name of the file in problems: there is none."""


class Validation(Struct, rename="camel"):
    """`valid`: no error in the entry and no failed check. `problems` are the errors and warnings with their places,
    `errors` the former as lines of text, `error` the first of all that is wrong.
    """

    valid: bool
    errors: list[str]
    checks: list[Check]
    generated_at: str
    problems: list[Problem]
    error: str | None = None


class Preview(Struct, rename="camel"):
    """`status` is `warning` when the entry is not valid as it is."""

    status: Literal["success", "warning"]
    model: Entry
    validation: Validation
    manifest: Manifest


class Test(Struct, rename="camel", forbid_unknown_fields=True):
    """`readinessUrl` and `timeoutSeconds` are the original's, whose service fetched any URL that it was given."""

    id: str
    slot: str | None = None
    readiness_url: str | None = None
    timeout_seconds: int | None = None


class DryRun(Struct):
    """What an activation would do to the slot's InferenceService."""

    action: Literal["create", "update"]
    manifest: Manifest


class NotFetched(Struct):
    status: Literal["error"] = "error"
    message: str = "No URL is fetched for a request: ask the model through /v1 once it is active."


class Tested(Struct, rename="camel"):
    """`status` is `warning` when a check failed: the model could not be served."""

    status: Literal["success", "warning"]
    dry_run: DryRun
    checks: list[Check]
    readiness: NotFetched | None


async def preview_entry(parts: Parts, raw: Annotated[bytes, Entry], query: InSlot) -> Preview:
    """The InferenceService that an entry would become, and what was found in looking at it.

    Read as a file of the catalog would be: unknown fields are warnings. Nothing is stored.
    """
    entry, problems = parse(_without_unset(raw), THE_BODY)
    if entry is None:
        raise _refusal(problems)
    manifest, found = await _look(parts, entry, query.slot)
    if manifest is None:
        raise InvalidRequest(next(check.message for check in found if check.status == "fail"), checks=found)
    validation = _validation(problems, found)
    return Preview("success" if validation.valid else "warning", entry, validation, manifest)


async def validate_entry(parts: Parts, raw: Annotated[bytes, Entry], query: InSlot) -> Reply[Validation]:
    """Whether an entry could be served as it is: 200 if it could, else 400 with the same form of answer.

    Read as a file of the catalog would be: unknown fields are warnings. Nothing is stored.
    """
    entry, problems = parse(_without_unset(raw), THE_BODY)
    found: list[Check] = []
    if entry is not None:
        _, found = await _look(parts, entry, query.slot)
    validation = _validation(problems, found)
    return Reply(validation, 200 if validation.valid else 400)


async def test_model(parts: Parts, body: Test) -> Tested:
    """Look whether a model could be served, without serving it.

    The platform tries the InferenceService without keeping it (on a cluster its admission is asked), and looks for the
    runtime, the secrets, the volume and a node that could hold it. Nothing is fetched from `readinessUrl`.
    """
    item = parts.catalog.item(body.id)
    slot = parts.slot_named(body.slot)
    manifest, found = await _look(parts, item.entry, slot)
    if manifest is None:
        raise Unprocessable(next(check.message for check in found if check.status == "fail"), checks=found)
    there = not (await parts.platform.observe(slot)).empty
    return Tested(
        "warning" if any(check.status == "fail" for check in found) else "success",
        DryRun("update" if there else "create", manifest),
        [check for check in found if check.name != "catalog"],
        NotFetched() if body.readiness_url else None,
    )


async def _look(parts: Parts, entry: Entry, slot: str | None) -> tuple[Manifest | None, list[Check]]:
    """The entry's manifest, if one can be rendered, and all that the checks say of it."""
    snapshot = parts.catalog.snapshot
    manifest, refusal = None, None
    tried: list[Finding] = []
    try:
        item = CatalogItem(entry, THE_BODY, hash_of(entry), snapshot.revision)
        manifest = commands.render_manifest(parts, item, slot)
        tried = await parts.platform.dry_run(manifest)
    except (Unprocessable, InvalidRequest) as error:
        refusal = error
    folder = folder_or_none(entry)
    weights = await asyncio.to_thread(parts.weights.find, folder) if folder else None
    same = snapshot.items.get(entry.id)
    found = Found(
        same.file if same else None, weights.size if weights else None, parts.places.pvc_name, refusal,
        tuple(tried),
    )  # fmt: skip
    return manifest, checks(entry, found)


def _validation(problems: tuple[Problem, ...], found: list[Check]) -> Validation:
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    wrong = [*errors, *(check.message for check in found if check.status == "fail")]
    return Validation(not wrong, errors, found, timestamp(), list(problems), wrong[0] if wrong else None)


def _refusal(problems: tuple[Problem, ...]) -> InvalidRequest:
    first = next(problem for problem in problems if problem.severity == "error")
    return InvalidRequest(
        f"The entry has a problem: {first}", "POST /catalog/validate lists all of them.", problems=problems
    )


def _without_unset(raw: bytes) -> bytes:
    """The entry without `""`, which Go's encoder writes for fields that nobody set, and which no file would have."""
    if b'""' not in raw:
        return raw
    try:
        given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return raw  # for the reader of entries to say what is wrong
    return msgspec.json.encode({name: value for name, value in given.items() if bytes(value) != b'""'})


ROUTES = (
    Route("POST", "/catalog/preview", preview_entry, at_once=8),
    Route("POST", "/models/test", test_model, at_once=8),
    Route("POST", "/catalog/validate", validate_entry, also={400: Validation}, at_once=8),
)
