"""One revision of the catalog, whole: what every file said, put together. Pure.

A snapshot never changes; a new revision is a new one that is swapped in.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256

import msgspec
from msgspec import Struct

from model_manager.catalog import scan
from model_manager.catalog.entry import Entry
from model_manager.catalog.files import FileResult
from model_manager.catalog.problem import Problem

Place = Callable[[str, scan.Path], tuple[int, int]]
"""Line and column of a field in a file."""


class CatalogItem(Struct, frozen=True, gc=False):
    """An entry as it is served. `hash` is of what the entry says; `revision` is where it was read.

    `stale`: its file is broken, missing or ambiguous now, and this is the last good version.
    """

    entry: Entry
    file: str
    hash: str
    revision: str
    stale: bool = False


class ModelSummary(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """One line of `GET /models`: the original's four fields first, then ours."""

    id: str
    display_name: str
    hf_model_id: str | None = None
    runtime: str | None = None
    served_model_name: str | None = None
    task: str = "chat"
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    context_length: int | None = None
    stale: bool = False


class Snapshot(Struct, frozen=True):
    """All that is served from the catalog at one revision.

    `tree` is the folder it was read from ("" when it was restored from the state file). `models_json` is
    the body of `GET /models`, encoded once, `models_hash` its SHA-256. `names` leads from every id and
    unambiguous alias to an id; `unavailable` says of an id that no version can be served why not.
    """

    revision: str
    tree: str
    items: dict[str, CatalogItem]
    problems: tuple[Problem, ...] = ()
    models_json: bytes = b"[]"
    models_hash: str = ""
    names: dict[str, str] = {}
    unavailable: dict[str, str] = {}


EMPTY = Snapshot("", "", {})
"""Before the first load."""


class Claims(Struct, frozen=True):
    """Who says what: the results that are alone with their id, the ids that several claim, the broken files."""

    single: dict[str, FileResult]
    several: dict[str, list[FileResult]]
    broken: set[str]


def claims(results: Iterable[FileResult]) -> Claims:
    """Sort the results of reading by what can be served of them."""
    by_id: defaultdict[str, list[FileResult]] = defaultdict(list)
    broken = set()
    for result in results:
        if result.entry:
            by_id[result.entry.id].append(result)
        elif any(problem.severity == "error" for problem in result.problems):
            broken.add(result.file)
    single = {id_: found[0] for id_, found in by_id.items() if len(found) == 1}
    several = {id_: found for id_, found in by_id.items() if len(found) > 1}
    return Claims(single, several, broken)


def assemble(
    revision: str,
    tree: str,
    results: Mapping[str, FileResult],
    kept: Mapping[str, CatalogItem],
    place: Place = lambda file, path: (1, 1),
) -> Snapshot:
    """The snapshot of what was read; `kept` are last good versions for ids that cannot be served from it."""
    claimed = claims(results.values())
    items = {id_: _fresh(result, revision) for id_, result in claimed.single.items()}
    items.update((id_, item) for id_, item in kept.items() if id_ not in items)
    problems = [problem for name in sorted(results) for problem in results[name].problems]
    unavailable = {}
    for id_, found in sorted(claimed.several.items()):
        sentence = f"`{id_}` is the id of {' and '.join(result.file for result in found)}"
        if id_ not in items:
            unavailable[id_] = sentence
        served = "the last good version is served" if id_ in items else "none of them is served"
        for result in found:
            line, column = place(result.file, ("id",))
            hint = "give each entry an id of its own"
            problems.append(Problem(result.file, line, column, "id", f"{sentence}; {served}", hint))
    return finish(Snapshot(revision, tree, items, tuple(problems), unavailable=unavailable), place)


def finish(snapshot: Snapshot, place: Place = lambda file, path: (1, 1)) -> Snapshot:
    """Add what follows from a snapshot's items: their order, the names that lead to them, the encoded list."""
    items = {id_: snapshot.items[id_] for id_ in sorted(snapshot.items)}
    names, clashes = _names(items, snapshot.unavailable, place)
    models_json = msgspec.json.encode([summary(item) for item in items.values()])
    return msgspec.structs.replace(
        snapshot,
        items=items,
        problems=snapshot.problems + clashes,
        names=names,
        models_json=models_json,
        models_hash=sha256(models_json).hexdigest(),
    )


def summary(item: CatalogItem) -> ModelSummary:
    """What the list of models tells of an item."""
    entry = item.entry
    return ModelSummary(
        id=entry.id,
        display_name=entry.name,
        hf_model_id=entry.hf_model_id,
        runtime=entry.runtime,
        served_model_name=entry.served_model_name,
        task=entry.task,
        description=entry.description,
        license=entry.license,
        tags=entry.tags,
        aliases=entry.aliases,
        context_length=entry.context_length,
        stale=item.stale,
    )


def _fresh(result: FileResult, revision: str) -> CatalogItem:
    assert result.entry is not None
    return CatalogItem(result.entry, result.file, result.entry_hash, revision)


def _names(
    items: Mapping[str, CatalogItem], unavailable: Mapping[str, str], place: Place
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Ids come first; an alias that two entries claim, or that is an id, leads nowhere and is a problem."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for id_, item in items.items():
        for alias in dict.fromkeys(item.entry.aliases):
            if alias != id_:
                owners[alias].append(id_)
    names = {id_: id_ for id_ in items}
    problems = []
    for alias, ids in owners.items():
        is_id = alias in items or alias in unavailable
        if len(ids) == 1 and not is_id:
            names[alias] = ids[0]
            continue
        if is_id:
            text = f"the alias `{alias}` is the id of another entry, to which it leads"
        else:
            text = f"the alias `{alias}` is claimed by {' and '.join(ids)}; it leads to none of them"
        for id_ in ids:
            item = items[id_]
            index = item.entry.aliases.index(alias)
            line, column = place(item.file, ("aliases", index))
            field = f"aliases[{index}]"
            problems.append(Problem(item.file, line, column, field, text, "choose another alias"))
    return names, tuple(problems)
