"""The worker that installs one folder of weights: `python -m model_manager.weights.install`.

plan -> room -> transfer into staging -> shards complete -> manifest -> publish. Anything before the last step
may die at any instruction: the folder is then absent, or still the old one; the next start clears the staging.
"""

import json
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from model_manager.catalog.entry import Entry
from model_manager.errors import Conflict, Unprocessable
from model_manager.jobs.worker import Control, main
from model_manager.weights.abandon import abandonable
from model_manager.weights.disk import amount, disk_error, require_room, write_synced
from model_manager.weights.hub import DEFAULT_ENDPOINT
from model_manager.weights.installed import (
    InstalledFile,
    InstalledWeights,
    content_revision,
    encode_manifest,
    unchanged,
)
from model_manager.weights.names import MANIFEST_NAME, check_name, shown
from model_manager.weights.plan import Plan
from model_manager.weights.sources import plan_for
from model_manager.weights.store import WeightStore
from model_manager.weights.transfer import transfer
from model_manager.weights.uri import require_source

MAX_INDEX = 64 << 20
"""Bytes of a shard index that are read; real ones stay below 10 MB."""


class Order(Struct, frozen=True, kw_only=True, rename="camel"):
    """One install, as the worker is told: the job's payload, and what the service adds to it at each start.

    `folder` is where the weights of `entry` go; `entry_hash` is empty when no catalog entry stands behind the
    request. `reserve` in bytes. `tree` is the catalog folder that `file:` sources start from, `file_roots` are
    folders outside it that the operator allows. `timeout` in seconds, 0 for none. `allow_http` opens plain HTTP to
    loopback hosts, for tests.
    `secrets` may hold `hubToken`. Unknown fields are passed over.
    """

    folder: str
    entry: Entry
    root: str
    reserve: int
    entry_hash: str = ""
    overwrite: bool = False
    actor: str = "system"
    tree: str | None = None
    file_roots: tuple[str, ...] = ()
    hub_endpoint: str = DEFAULT_ENDPOINT
    allow_http: bool = False
    timeout: float = 0.0
    secrets: dict[str, str | None] = {}

    @property
    def entry_id(self) -> str | None:
        """The catalog entry this is for, if any."""
        return self.entry.id if self.entry_hash else None


def work(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    """Install as the message says; the job's result `{path, name, sizeBytes, revision, unchanged, message}`.

    A cancel ends it within a second or so, whatever the network does, and leaves no staging.
    """
    order = msgspec.convert(message, Order)
    store = WeightStore(Path(order.root), order.reserve)
    publishing = threading.Event()
    try:
        return abandonable(
            control, lambda: install(order, store, control, publishing), publishing, order.timeout
        )
    except OSError as error:
        raise disk_error(error, shown(order.folder)) from error
    finally:
        store.discard(order.folder)


def install(
    order: Order, store: WeightStore, control: Control, publishing: threading.Event
) -> dict[str, Any]:
    """The steps, in order. `publishing` is set where a cancel comes too late."""
    store.check_target(order.folder)
    plan = _plan(order)
    control.check()
    installed = store.find(order.folder)
    if installed and not order.overwrite:
        _check_owner(installed, plan, order)
        if unchanged(installed, plan, store.path(order.folder), control.check):
            return _result(store, installed, unchanged=True)
    staging = store.stage(order.folder)
    require_room(store.root, plan.size, store.reserve, order.folder)
    files = transfer(plan, staging, control, control.report)
    check_shards(staging, files)
    weights = _manifest(order, plan, files)
    write_synced(staging / MANIFEST_NAME, encode_manifest(weights))
    control.check()
    publishing.set()
    store.publish(staging, order.folder)
    return _result(store, weights, unchanged=False)


def _plan(order: Order) -> Plan:
    return plan_for(
        require_source(order.entry),
        order.entry.files,
        tree=Path(order.tree) if order.tree else None,
        file_roots=tuple(map(Path, order.file_roots)),
        endpoint=order.hub_endpoint,
        token=order.secrets.get("hubToken"),
        allow_http=order.allow_http,
    )


def _check_owner(installed: InstalledWeights, plan: Plan, order: Order) -> None:
    """Two names may flatten to one folder: what came from elsewhere for another entry stays, unless asked."""
    same_entry = order.entry_id is not None and order.entry_id == installed.entry
    if installed.source == plan.source or same_entry:
        return
    owner = f" for {installed.entry}" if installed.entry else ""
    raise Conflict(
        f"The folder {shown(order.folder)} holds weights from {installed.source.get('uri')}{owner}, "
        f"not from {plan.source['uri']}.",
        "Choose another folder (`pvc://<claim>/<folder>`), delete the old weights, or ask to overwrite.",
    )


def check_shards(staging: Path, files: list[InstalledFile]) -> None:
    """Every part that an index file names must be among the verified files; Unprocessable names one that is not."""
    present = {file.path for file in files}
    for file in files:
        if not file.path.endswith(".index.json"):
            continue
        for part in sorted(_indexed(staging / file.path, file)):
            path = "/".join([*file.path.split("/")[:-1], check_name(part)])
            if path not in present:
                raise Unprocessable(
                    f"{shown(file.path)} names {shown(part)}, which was not installed with it.",
                    "Widen the entry's `files`, or wait until the repository is complete.",
                )


def _indexed(path: Path, file: InstalledFile) -> set[str]:
    """The file names in a shard index (`weight_map`: tensor -> file); none when it is no such index."""
    if file.size > MAX_INDEX:
        raise Unprocessable(f"The index {shown(file.path)} is larger than {amount(MAX_INDEX)}.")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Unprocessable(f"The index {shown(file.path)} is not JSON.") from error
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict):
        return set()
    return {name for name in weight_map.values() if isinstance(name, str)}


def _manifest(order: Order, plan: Plan, files: list[InstalledFile]) -> InstalledWeights:
    return InstalledWeights(
        folder=order.folder,
        source=plan.source,
        revision=plan.revision or content_revision(files),
        entry=order.entry_id,
        files=files,
        size=sum(file.size for file in files),
        installed_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        installed_by=order.actor,
    )


def _result(store: WeightStore, weights: InstalledWeights, *, unchanged: bool) -> dict[str, Any]:
    files = f"{len(weights.files)} file" + ("s" if len(weights.files) != 1 else "")
    state = "was already installed, unchanged" if unchanged else "is installed"
    return {
        "path": str(store.path(weights.folder)),
        "name": weights.folder,
        "sizeBytes": weights.size,
        "revision": weights.revision,
        "unchanged": unchanged,
        "message": f"{weights.folder} {state}: {files}, {amount(weights.size)}.",
    }


if __name__ == "__main__":
    code = main(work)
    sys.stdout.flush()
    os._exit(code)  # an abandoned thread may still wait for a network: it must not keep the process
