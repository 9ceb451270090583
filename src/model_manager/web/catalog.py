"""The catalog as a whole: how it is doing, reading it again, and what is wrong in it."""

import msgspec
from msgspec import Struct

from model_manager import commands
from model_manager.catalog.problem import Problem
from model_manager.catalog.snapshot import ModelSummary, summary
from model_manager.commands import Parts
from model_manager.http.etags import etag_of
from model_manager.http.routing import Request, Route, Tagged


class Refreshed(Struct, rename="camel"):
    status: str
    message: str
    revision: str
    models: list[ModelSummary]
    problems: list[Problem]


class CatalogView(Struct, rename="camel"):
    """Where the catalog comes from and how fresh it is. `kind` is folder, link (git-sync's) or git.

    `revision` was swapped in at `loadedAt`; `ageSeconds` ago the source last confirmed that it is the newest. While
    the source fails, `error` and `hint` say why, and `staleSince` since when. `count` is of models.
    """

    source: str
    kind: str
    revision: str
    loaded_at: str | None
    age_seconds: float
    ready: bool
    count: int
    error: str | None
    hint: str
    stale_since: str | None
    problems: list[Problem]


class Problems(Struct, rename="camel"):
    revision: str
    problems: list[Problem]


async def get_catalog(parts: Parts) -> CatalogView:
    """How the catalog is doing: its source, revision and age, and what is wrong."""
    status, snapshot = parts.catalog.status(), parts.catalog.snapshot
    return CatalogView(
        source=status.source,
        kind=status.kind,
        revision=status.revision,
        loaded_at=status.loaded_at,
        age_seconds=status.age_seconds,
        ready=status.ready,
        count=status.count,
        error=status.error,
        hint=status.hint,
        stale_since=status.stale_since,
        problems=list(snapshot.problems),
    )


async def refresh(parts: Parts, request: Request) -> Refreshed:
    """Read the catalog again now."""
    snapshot = await commands.refresh(parts, request.actor)
    models = [summary(item) for item in snapshot.items.values()]
    return Refreshed("success", "Catalog refreshed", snapshot.revision, models, list(snapshot.problems))


async def catalog_problems(parts: Parts) -> Tagged[Problems]:
    """What is wrong in the catalog: file, line, field, sentence and hint."""
    snapshot = parts.catalog.snapshot
    data = msgspec.json.encode(Problems(snapshot.revision, list(snapshot.problems)))
    return Tagged(data, etag_of(data))


ROUTES = (
    Route("GET", "/catalog", get_catalog),
    Route("POST", "/refresh", refresh, at_once=2),
    Route("GET", "/catalog/problems", catalog_problems),
)
