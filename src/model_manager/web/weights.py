"""`/weights`: what is installed, by what it is used, installing and deleting. Sizes are bytes."""

import asyncio
from typing import Annotated, Any

from msgspec import Meta, Struct

from model_manager import commands
from model_manager.catalog.entry import HUB_NAME_PATTERN
from model_manager.commands import Parts
from model_manager.errors import NotFound
from model_manager.http.routing import Reply, Request, Route
from model_manager.web.jobs import JobView, job_view
from model_manager.weights.disk import amount
from model_manager.weights.installed import InstalledFile, InstalledWeights

HubName = Annotated[str, Meta(pattern=f"^$|{HUB_NAME_PATTERN}")]


class WeightInfo(Struct, rename="camel"):
    """One installed folder. `used_by` names the slots that need it, `entry` the catalog entry it was made for."""

    path: str
    name: str
    size_bytes: int
    size_human: str
    modified_time: str
    file_count: int
    source: dict[str, Any]
    revision: str
    entry: str | None
    installed_at: str
    installed_by: str
    used_by: list[str]


class WeightDetails(WeightInfo, rename="camel"):
    files: list[InstalledFile]


class ForeignFolder(Struct, rename="camel"):
    """Something on the volume that is not ours: shown, never touched."""

    path: str
    size_bytes: int
    size_human: str


class WeightList(Struct, rename="camel"):
    weights: list[WeightInfo]
    not_ours: list[ForeignFolder]


class Usage(Struct, rename="camel"):
    """`total`, `used` and `available` are the file system's; `installed` is what our weights take of it."""

    total_bytes: int
    total_human: str
    used_bytes: int
    used_human: str
    available_bytes: int
    available_human: str
    installed_bytes: int
    installed_human: str
    model_count: int
    models: list[WeightInfo]


class Install(Struct, rename="camel", forbid_unknown_fields=True):
    """Either `id`, a model of the catalog, or `hfModelId`, a Hub repository with its optional particulars.

    `null` and "" are what Go's encoder writes for what nobody set, and count as left out.
    """

    id: str | None = None
    hf_model_id: HubName | None = None
    revision: str | None = None
    target: str | None = None
    files: tuple[str, ...] | None = None
    overwrite: bool | None = None


class Queued(Struct, rename="camel"):
    status: str
    job: JobView


class Deleted(Struct, rename="camel"):
    status: str
    message: str


async def list_weights(parts: Parts) -> WeightList:
    """Installed weights, the largest first, and what else lies on the volume."""
    foreign = await asyncio.to_thread(parts.weights.foreign)
    return WeightList(
        weights=await _installed(parts),
        not_ours=[ForeignFolder(one.path, one.size, amount(one.size)) for one in foreign],
    )


async def weights_usage(parts: Parts) -> Usage:
    """How full the volume is, and how much of it is ours."""
    return await usage(parts)


async def weights_info(parts: Parts, name: str) -> WeightDetails:
    """One installed folder with its files and their SHA-256."""
    found = await asyncio.to_thread(parts.weights.find, name)
    if found is None:
        raise NotFound(
            f"No weights are installed in {name[:200]!r}.",
            "`model-manager weights` (GET /weights) lists those that are.",
        )
    used = await commands.weights_in_use(parts)
    return WeightDetails(**_facts(parts, found, used), files=found.files)


async def install_weights(parts: Parts, body: Install, request: Request) -> Reply[Queued]:
    """Install weights, in a job. The same installation asked for twice is one job."""
    job = await commands.install(
        parts,
        model_id=body.id or None,
        hf_model_id=body.hf_model_id or None,
        revision=body.revision or None,
        target=body.target or None,
        files=body.files or (),
        overwrite=body.overwrite or False,
        actor=request.actor,
    )
    return Reply(Queued("queued", job_view(job)), headers={"location": f"/jobs/{job.id}"})


async def delete_weights(parts: Parts, name: str, request: Request) -> Deleted:
    """Delete installed weights; refused while anything uses them."""
    await commands.delete_weights(parts, name, request.actor)
    return Deleted("success", f"Deleted weights for {name}")


async def usage(parts: Parts) -> Usage:
    disk = await asyncio.to_thread(parts.weights.usage)
    return Usage(
        total_bytes=disk.total,
        total_human=amount(disk.total),
        used_bytes=disk.used,
        used_human=amount(disk.used),
        available_bytes=disk.available,
        available_human=amount(disk.available),
        installed_bytes=disk.installed,
        installed_human=amount(disk.installed),
        model_count=disk.count,
        models=await _installed(parts),
    )


async def _installed(parts: Parts) -> list[WeightInfo]:
    used = await commands.weights_in_use(parts)
    found = await asyncio.to_thread(parts.weights.list)
    infos = [WeightInfo(**_facts(parts, one, used)) for one in found]
    return sorted(infos, key=lambda info: (-info.size_bytes, info.name))


def _facts(parts: Parts, found: InstalledWeights, used: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "path": str(parts.weights.root / found.folder),
        "name": found.folder,
        "size_bytes": found.size,
        "size_human": amount(found.size),
        "modified_time": found.installed_at,
        "file_count": len(found.files),
        "source": found.source,
        "revision": found.revision,
        "entry": found.entry,
        "installed_at": found.installed_at,
        "installed_by": found.installed_by,
        "used_by": used.get(found.folder, []),
    }


ROUTES = (
    Route("GET", "/weights", list_weights),
    Route("GET", "/weights/usage", weights_usage),
    Route("POST", "/weights/install", install_weights, status=202, at_once=8),
    Route("GET", "/weights/{name:path}/info", weights_info),
    Route("DELETE", "/weights/{name:path}", delete_weights),
)
