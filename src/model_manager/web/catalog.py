"""The catalog as a whole: reading it again, and what is wrong in it."""

from msgspec import Struct

from model_manager import commands
from model_manager.catalog.problem import Problem
from model_manager.catalog.snapshot import ModelSummary, summary
from model_manager.commands import Parts
from model_manager.http.routing import Request, Route


class Refreshed(Struct, rename="camel"):
    status: str
    message: str
    revision: str
    models: list[ModelSummary]
    problems: list[Problem]


class Problems(Struct, rename="camel"):
    revision: str
    problems: list[Problem]


async def refresh(parts: Parts, request: Request) -> Refreshed:
    """Read the catalog again now."""
    snapshot = await commands.refresh(parts, request.actor)
    models = [summary(item) for item in snapshot.items.values()]
    return Refreshed("success", "Catalog refreshed", snapshot.revision, models, list(snapshot.problems))


async def catalog_problems(parts: Parts) -> Problems:
    """What is wrong in the catalog: file, line, field, sentence and hint."""
    snapshot = parts.catalog.snapshot
    return Problems(snapshot.revision, list(snapshot.problems))


ROUTES = (
    Route("POST", "/refresh", refresh),
    Route("GET", "/catalog/problems", catalog_problems),
)
