"""`GET /models`: the whole catalog as it was encoded once, or the part of it that is asked for, by pages."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from model_manager.catalog.entry import Entry
from model_manager.catalog.snapshot import ModelSummary, summary
from model_manager.commands import Parts
from model_manager.http.etags import quoted
from model_manager.http.routing import Reply, Route, Tagged
from model_manager.serving.validation import folder_or_none
from model_manager.web.paging import Cursor, Limit, page, position


class ModelsQuery(Struct):
    """All that is left out lets every model through; without `limit` there is one page.

    `q`: letters that the id or the display name has. `active`: served by a slot now. `installed`: its weights are.
    """

    limit: Limit | None = None
    cursor: Cursor | None = None
    task: Literal["chat", "embed"] | None = None
    tag: str | None = None
    q: str | None = None
    active: bool | None = None
    installed: bool | None = None


_WHOLE = ModelsQuery()


async def list_models(
    parts: Parts, query: ModelsQuery
) -> Tagged[list[ModelSummary]] | Reply[list[ModelSummary]]:
    """Models of the catalog, by id.

    An array, without anything around it. Where a `limit` leaves models out, the header
    `Link: <?…>; rel="next"` names the following page, relative to this one.
    """
    snapshot = parts.catalog.snapshot
    if query == _WHOLE:
        return Tagged(snapshot.models_json, quoted(snapshot.models_hash))
    wanted = await _filter(parts, query)
    last = position(query.cursor, "models") or ""
    found = [item for id_, item in snapshot.items.items() if id_ > last and wanted(item.entry)]
    shown, following = page(found, query.limit or len(found), "models", lambda item: item.entry.id)
    headers = {"link": f'<?{_again(query, following)}>; rel="next"'} if following else {}
    return Reply([summary(item) for item in shown], headers=headers)


async def _filter(parts: Parts, query: ModelsQuery) -> Callable[[Entry], bool]:
    """What lets a model through: all of the given conditions."""
    conditions = list(_of_entry(query))
    if query.active is not None:
        targets = [parts.targets.get(slot) for slot in parts.slots]
        active = {target.model_id for target in targets if target}
        conditions.append(lambda entry: (entry.id in active) is query.active)
    if query.installed is not None:
        folders = {weights.folder for weights in await asyncio.to_thread(parts.weights.list)}
        conditions.append(lambda entry: (folder_or_none(entry) in folders) is query.installed)
    return lambda entry: all(condition(entry) for condition in conditions)


def _of_entry(query: ModelsQuery) -> Iterator[Callable[[Entry], bool]]:
    if query.task is not None:
        yield lambda entry: entry.task == query.task
    if query.tag is not None:
        yield lambda entry: query.tag in entry.tags
    if query.q is not None:
        letters = query.q.casefold()
        yield lambda entry: letters in entry.id or letters in entry.name.casefold()


def _again(query: ModelsQuery, cursor: str) -> str:
    """The same question, about what follows."""
    asked = msgspec.to_builtins(query) | {"cursor": cursor}
    given = {name: value for name, value in asked.items() if value is not None}
    return urlencode(
        {name: str(value).lower() if value in (True, False) else value for name, value in given.items()}
    )


ROUTES = (Route("GET", "/models", list_models),)
