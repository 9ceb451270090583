"""What can be said of an entry before it is in the catalog, beyond what its file says: a list of checks. Pure.

The names of the checks are the original's, where it had them. On a cluster the platform answers those that need one;
else they are there where an entry asks for something of a cluster, and say that nobody looked.
"""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from model_manager.catalog.entry import Entry
from model_manager.errors import ModelManagerError
from model_manager.serving.findings import Finding
from model_manager.weights.uri import folder_of, require_source


class Check(Struct, rename="camel"):
    """One thing that was looked at. Only `fail` makes an entry invalid; `warn` is worth reading."""

    name: str
    status: Literal["pass", "warn", "fail"]
    message: str
    metadata: dict[str, Any] = {}


class Found(Struct, frozen=True):
    """What was looked up for the checks: the file that has the id already, the bytes installed, the volume's claim.

    `refusal` says why no manifest could be rendered; `of_platform` is what the platform found in trying it.
    """

    same_id: str | None
    installed: int | None
    claim: str
    refusal: ModelManagerError | None = None
    of_platform: tuple[Finding, ...] = ()


def folder_or_none(entry: Entry) -> str | None:
    """Where the weights lie; None when the entry names a place where nothing can lie."""
    try:
        return folder_of(entry)
    except ModelManagerError:
        return None


def checks(entry: Entry, found: Found) -> list[Check]:
    """All checks, those that every entry has first."""
    platform = [
        _check(one) for one in found.of_platform if one.name != "local-cache"
    ]  # it is installed first
    storage = [_storage(entry, found), *(check for check in platform if check.name == "storage")]
    others = [check for check in platform if check.name != "storage"]
    return [
        _catalog(entry, found),
        _manifest(found),
        max(storage, key=lambda check: _GRAVITY[check.status]),
        _local_cache(entry, found),
        *others,
        *_not_looked_at(entry, {check.name.partition(":")[0] for check in others}),
    ]


_GRAVITY = {"pass": 0, "warn": 1, "fail": 2}


def _check(finding: Finding) -> Check:
    """In the original's words, which had none for what is not known."""
    status: Literal["pass", "warn", "fail"] = (
        "pass" if finding.status == "ok" else "fail" if finding.status == "fail" else "warn"
    )
    return Check(finding.name, status, f"{finding.sentence} {finding.hint}".strip())


def _catalog(entry: Entry, found: Found) -> Check:
    if found.same_id is None:
        return Check("catalog", "pass", f"The catalog has no {entry.id} yet.")
    return Check("catalog", "pass", f"It would replace {found.same_id}.", {"file": found.same_id})


def _manifest(found: Found) -> Check:
    if found.refusal is not None:
        return _failed("manifest", found.refusal)
    return Check("manifest", "pass", "An InferenceService can be rendered.")


def _storage(entry: Entry, found: Found) -> Check:
    try:
        folder = folder_of(entry)
        source = None if found.installed is not None else require_source(entry)
    except ModelManagerError as error:
        return _failed("storage", error)
    facts = {"folder": folder}
    claim = (entry.storage_uri or "").removeprefix("pvc://").partition("/")[0]
    if (entry.storage_uri or "").startswith("pvc://") and claim != found.claim:
        said = f"It names the claim {claim}, but the weights are installed to {found.claim}."
        return Check("storage", "warn", said, facts)
    whence = f" from {source.uri}" if source else ""
    return Check("storage", "pass", f"Its weights come{whence} into the folder {folder}.", facts)


def _local_cache(entry: Entry, found: Found) -> Check:
    if found.installed is not None:
        return Check("local-cache", "pass", "Its weights are installed.", {"sizeBytes": found.installed})
    return Check("local-cache", "warn", "Its weights are not installed: activating it installs them first.")


def _not_looked_at(entry: Entry, looked_at: set[str]) -> Iterator[Check]:
    """What an entry wants of a cluster, and no one looked at."""
    references = [variable.value_from for variable in entry.env if variable.value_from]
    kinds = {kind for volume in entry.volumes for kind in volume}
    wanted = {
        "secrets": "secret" in kinds or any(one.secret_key_ref for one in references),
        "configmaps": "configMap" in kinds or any(one.config_map_key_ref for one in references),
        "gpu-capacity": _gpus(entry),
    }
    for name, is_wanted in wanted.items():
        if is_wanted and name.removesuffix("s") not in looked_at:
            yield Check(name, "warn", "Not looked at: that needs a cluster.")


def _gpus(entry: Entry) -> bool:
    amounts = {**entry.resources.requests, **entry.resources.limits} if entry.resources else {}
    return any(name.endswith("/gpu") for name in amounts)


def _failed(name: str, error: ModelManagerError) -> Check:
    return Check(name, "fail", f"{error.sentence} {error.hint}".strip())
