"""What the API server answered instead of an object, as a sentence. Pure.

Texts and codes as Kubernetes 1.34 and KServe 0.20 answer them. An admission webhook refuses with the same 403 as RBAC
does; an unknown field in a server-side apply is a 500.
"""

import re
from typing import Any

import msgspec

from model_manager.errors import (
    Conflict,
    Forbidden,
    ModelManagerError,
    NotFound,
    TooManyRequests,
    Unavailable,
    Unprocessable,
)
from model_manager.serving.kserve.kinds import NOT_JSON, Kind, items, mapping, sentence_of

_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request:\s*(.*)', re.DOTALL)
_RBAC = re.compile(
    r'cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]*)"| at the cluster scope)?'
)
_UNKNOWN_FIELD = re.compile(r"failed to create typed patch object \(.*?\):(?: errors:)?\s*(.*)", re.DOTALL)
_CONFLICTING = re.compile(r'conflict(?:s)? with "([^"]+)"')
_ANOTHER_UID = re.compile(
    r"uid mismatch|UID in precondition|metadata\.uid: Invalid value: .*: field is immutable"
)
"""A write that names a UID: where nothing is, of a delete, and where another one is."""

_LONGEST = 1000

LONGEST_AWAY = 60
"""Seconds that a server's `Retry-After` is obeyed, at most: a proxy that says an hour must not leave us deaf."""


class NoKind(NotFound):
    """The API server does not know the kind at all: its CRD is not installed."""


class AlreadyExists(Conflict):
    """Something of this name is there, perhaps by a request of our own whose answer was lost."""


class StaleVersion(Conflict):
    """The object was changed since it was read: read it again."""


class AnotherOne(Conflict):
    """What has this name now is not the object with the UID that was meant, or nothing has it."""


class Gone(ModelManagerError):
    """410: what was to be continued from there is not remembered any more."""

    status, code = 410, "gone"


def refusal(
    status: int, body: bytes, retry_after: str | None, verb: str, kind: Kind, name: str
) -> ModelManagerError:
    """The error for an answer of 300 or more. `verb` is RBAC's: get, list, watch, create, patch, delete.

    What is wrong with our own credentials is no answer to what was asked, and passes when the token is renewed.
    """
    told = _status(body)
    message = str(told.get("message") or "")[:_LONGEST]
    what = f"{kind.qualified} {name}".strip()
    seconds = _seconds(retry_after, told)
    if status in (409, 422) and _ANOTHER_UID.search(message):
        return AnotherOne(f"{what} is not the one that was meant: {sentence_of(message)}")
    match status:
        case 401:
            return Unavailable(
                "The Kubernetes API server does not accept this service's credentials.",
                "Check the service account's token (or MODEL_MANAGER_KUBECONFIG).",
            )
        case 403:
            return _forbidden(message, verb, kind)
        case 404:
            return _missing(told, kind, name, what)
        case 409:
            return _conflict(told, message, what)
        case 410:
            return Gone(f"The API server does not remember {kind.qualified} so far back.")
        case 400 | 413 | 415 | 422:
            return Unprocessable(
                f"Kubernetes refuses {what}: {sentence_of(message)}", "Correct the catalog entry."
            )
        case 429:
            return TooManyRequests(
                f"The Kubernetes API server is busy: {sentence_of(message)}", retry_after=seconds or 1
            )
    if found := _UNKNOWN_FIELD.search(message):
        return Unprocessable(
            f"KServe's InferenceService on this cluster does not know what was asked of it: {sentence_of(found[1])}",
            "The cluster's KServe is older or newer than this manifest: upgrade it, or leave the field out.",
            cause="admission",
        )
    if found := _WEBHOOK.search(message):
        return _by_webhook(found)
    if "failed calling webhook" in message:
        hint = (
            "Look at KServe's controller: `kubectl -n kserve get pods`." if "kserve" in message else
            "Look at the pods behind it; `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`"
            " lists the webhooks."
        )  # fmt: skip
        return Unavailable(
            f"A webhook of the cluster does not answer: {sentence_of(message)}",
            hint,
            retry_after=seconds or 2,
        )
    told_so = f": {sentence_of(message)}" if message else "."
    return Unavailable(f"The Kubernetes API server answered {status}{told_so}", retry_after=seconds or 2)


def _forbidden(message: str, verb: str, kind: Kind) -> ModelManagerError:
    if found := _WEBHOOK.search(message):
        return _by_webhook(found)
    if "because it is being terminated" in message:
        return Conflict(
            f"The namespace is being deleted: {sentence_of(message)}",
            "Wait, or set ACTIVE_NAMESPACE to another.",
            cause="namespace_leaving",
        )
    if "exceeded quota" in message:
        return Conflict(
            f"The namespace's quota does not allow it: {sentence_of(message)}",
            "Raise the ResourceQuota, or delete what uses it.", cause="quota",
        )  # fmt: skip
    found = _RBAC.search(message)
    verb, plural, group, namespace = found.groups() if found else (verb, kind.plural, kind.group, "")
    resource = f"{plural}.{group}" if group else plural
    where = f" in the namespace {namespace}" if namespace else ""
    return Forbidden(
        f"This service may not {verb} {resource}{where}.",
        f'Give its account the verb "{verb}" on {resource}: `model-manager doctor` prints the command.',
        verb=verb, resource=resource, namespace=namespace or None,
    )  # fmt: skip


def _by_webhook(found: re.Match[str]) -> Unprocessable:
    return Unprocessable(
        f"The cluster's admission refuses it: {sentence_of(found[2])}",
        f"The webhook {found[1]} said so; correct the catalog entry.", webhook=found[1], cause="admission",
    )  # fmt: skip


def _missing(told: dict[str, Any], kind: Kind, name: str, what: str) -> NotFound:
    if mapping(told.get("details")).get("name") or (name and told):
        return NotFound(f"There is no {what}.")
    return NoKind(
        f"The cluster has no {kind.qualified}.",
        "Install KServe and its CRDs, or set MODEL_MANAGER_PLATFORM=local."
        if "kserve" in kind.group else "Its API is not served by this cluster.",
        resource=kind.qualified,
    )  # fmt: skip


def _conflict(told: dict[str, Any], message: str, what: str) -> Conflict:
    if told.get("reason") == "AlreadyExists":
        return AlreadyExists(f"{what} exists already.")
    causes = items(mapping(told.get("details")).get("causes"))
    fields = [str(cause["field"]) for cause in causes if cause.get("field")]
    if not fields:
        return StaleVersion(f"{what} was changed meanwhile: {sentence_of(message)}")
    managers = sorted(
        {who for cause in causes for who in _CONFLICTING.findall(str(cause.get("message", "")))}
    )
    by = ", ".join(managers) or "somebody else"
    return Conflict(
        f"{what} is managed by {by} in {', '.join(fields[:5])}.",
        "Let the other one leave these fields out, or set MODEL_MANAGER_DRIFT=repair.",
        managers=managers, fields=fields, cause="not_ours",
    )  # fmt: skip


def _status(body: bytes) -> dict[str, Any]:
    """The Status object of a refusal; a proxy in between answers text."""
    try:
        return mapping(msgspec.json.decode(body))
    except NOT_JSON:
        return {}


def _seconds(header: str | None, told: dict[str, Any]) -> int | None:
    for value in (header, mapping(told.get("details")).get("retryAfterSeconds")):
        try:
            return min(max(1, int(str(value))), LONGEST_AWAY)
        except ValueError:
            continue
    return None
