"""Whether this service has what it needs: folders, catalog, platform, and what the catalog's models need."""

import asyncio
import os
import shlex
from pathlib import Path

from model_manager.commands.catalog import render_manifest
from model_manager.commands.parts import Parts
from model_manager.errors import ModelManagerError
from model_manager.serving.findings import Finding
from model_manager.serving.platform import Manifest
from model_manager.weights.disk import amount, free_bytes


async def doctor(parts: Parts) -> list[Finding]:
    """Everything that can be looked at from here. A file without a name is written to each folder; nothing changes."""
    manifests, unrendered = _manifests(parts)
    return [
        *(Finding("service", "fail", sentence) for sentence in parts.problems()),
        *(Finding("platform", "warn", sentence) for sentence in parts.platform.problems()),
        *await asyncio.to_thread(_folders, parts),
        _catalog(parts),
        *unrendered,
        *await parts.platform.examine(manifests),
    ]


def _manifests(parts: Parts) -> tuple[dict[str, Manifest], list[Finding]]:
    """What the catalog's models become, and those that become nothing."""
    manifests: dict[str, Manifest] = {}
    refused: list[Finding] = []
    for model, item in parts.catalog.snapshot.items.items():
        try:
            manifests[model] = render_manifest(parts, item)
        except ModelManagerError as error:
            command = f"model-manager catalog check {shlex.quote(parts.places.catalog)}"
            refused.append(Finding(f"model:{model}", "warn", error.sentence, error.hint, command))
    return manifests, refused


def _catalog(parts: Parts) -> Finding:
    status = parts.catalog.status()
    if status.error:
        said = f"{status.error} {status.count} models of its last revision are offered."
        return Finding(
            "catalog", "warn" if status.ready else "fail", said, status.hint, "model-manager catalog refresh"
        )
    if not status.ready:
        return Finding("catalog", "unknown", f"The catalog {status.source} was not read yet.")
    said = f"The catalog {status.source} was read: {status.count} models at {status.revision[:12]}"
    if status.problems:
        command = "model-manager catalog problems"
        return Finding(
            "catalog", "warn", f"{said}, with {status.problems} problems.", "Correct its files.", command
        )
    return Finding("catalog", "ok", f"{said}.")


def _folders(parts: Parts) -> list[Finding]:
    weights = parts.weights.root
    return [
        writable("state-folder", Path(parts.places.state)),
        writable("weights-folder", weights),
        _room(weights, parts.weights.reserve),
    ]


def writable(name: str, folder: Path) -> Finding:
    """Whether this user may write to a folder, by writing to it."""
    import tempfile  # here: no start needs it

    user = f"{os.geteuid()}:{os.getegid()}"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding(name, "ok", f"The folder {folder} can be written by this user ({user}).")
    except PermissionError:
        said = f"The folder {folder} cannot be written by this user ({user})."
        hint = "Run the command as root where the volume is, or give the pod this group as its `fsGroup`."
        return Finding(name, "fail", said, hint, f"chown -R {user} {shlex.quote(str(folder))}")
    except OSError as error:
        why = os.strerror(error.errno or 0)
        said = f"The folder {folder} cannot be written: {why}."
        return Finding(
            name,
            "fail",
            said,
            "Look at the volume that is mounted there.",
            f"df -h {shlex.quote(str(folder))}",
        )


def _room(weights: Path, reserve: int) -> Finding:
    try:
        free = free_bytes(weights)
    except OSError as error:
        return Finding(
            "disk", "unknown", f"The room on {weights} is not known: {os.strerror(error.errno or 0)}."
        )
    said = f"{amount(free)} are free for weights, of which {amount(reserve)} are kept in reserve."
    if free > reserve:
        return Finding("disk", "ok", said)
    hint = "Nothing can be installed: delete weights that are not used, or enlarge the volume."
    return Finding("disk", "warn", said, hint, "model-manager weights")
