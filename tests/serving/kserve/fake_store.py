"""The objects of the fake API server: versions, watches, server-side apply with managed fields, finalizers."""

import copy
import json
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace ("" for cluster-wide) and name."""
Leaf = tuple[str, ...]


class Refusal(Exception):
    """An answer of 400 or more, as a Status."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details, "code": code,
        }  # fmt: skip


class Store:
    """`told` hears of every change as (type, object); `admit` may change or refuse what is written."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.version = 100
        self.history: list[tuple[int, Key, str, Object]] = []
        self.compacted = 0
        self.told: list[Callable[[Key, str, Object], None]] = []
        self.admit: list[Callable[[str, Object], None]] = []

    def compact(self) -> None:
        """Forget what happened until now: watches from before are answered with 410."""
        self.compacted, self.history = self.version, []

    def get(self, key: Key) -> Object:
        if key not in self.objects:
            plural, _, name = key
            raise Refusal(404, "NotFound", f'{plural} "{name}" not found', name=name, kind=plural)
        return self.objects[key]

    def find(self, plural: str, namespace: str = "") -> list[Object]:
        """Without a namespace: of all of them, or of a kind that has none."""
        return [item for key, item in self.objects.items() if key[0] == plural and namespace in ("", key[1])]

    def put(self, key: Key, item: Object, *, manager: str = "", dry_run: bool = False) -> Object:
        """Create or replace as it is; the store's own fields are kept."""
        item, before = copy.deepcopy(item), self.objects.get(key)
        meta = item.setdefault("metadata", {})
        meta |= {"name": key[2]} | ({"namespace": key[1]} if key[1] else {})
        if before is None:
            meta |= {"uid": meta.get("uid") or str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        else:
            meta["uid"], meta["creationTimestamp"] = (
                before["metadata"]["uid"],
                before["metadata"]["creationTimestamp"],
            )
        if manager:
            _own(meta, manager, "Update", set(leaves(item)))
        if before is not None and _content(before) == _content(item):
            return before
        if dry_run:
            return item
        return self._record(key, "MODIFIED" if before else "ADDED", item)

    def create(self, key: Key, item: Object) -> Object:
        """As it is, where there is none of this name."""
        if key in self.objects:
            raise Refusal(
                409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists', name=key[2], kind=key[0]
            )
        return self.put(key, item)

    def apply(self, key: Key, item: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        """Server-side apply: merge, conflicts with others' fields, and removal of what is not sent any more.

        A `uid` in it is a precondition.
        """
        before, uid = self.objects.get(key), item["metadata"].get("uid")
        if uid and before is None:
            said = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise Refusal(409, "Conflict", said, name=key[2], kind=key[0])
        if uid and before is not None and uid != before["metadata"]["uid"]:
            raise _immutable_uid(key, uid)
        kept = {part: item["metadata"].get(part) or {} for part in ("labels", "annotations")}
        sent = {"spec": item.get("spec", {}), "metadata": kept}
        for one in self.admit:
            one(key[0], item)
        live = copy.deepcopy(before) if before else {
            "apiVersion": item.get("apiVersion"), "kind": item.get("kind"), "metadata": {}}  # fmt: skip
        wanted, owned = leaves(sent), _owners(live)
        clashes = [
            (path, who) for path, value in wanted.items() for who, paths in owned.items()
            if who != manager and path in paths and at(live, path) != value
        ]  # fmt: skip
        if clashes and not force:
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{who}"',
                    "field": "." + ".".join(path),
                }
                for path, who in clashes
            ]
            raise Refusal(409, "Conflict", f"Apply failed with {len(clashes)} conflicts", causes=causes)
        others = set().union(*(paths for who, paths in owned.items() if who != manager), set())
        for path in owned.get(manager, set()) - set(wanted) - others:
            _remove(live, path)
        for path, value in wanted.items():
            _set(live, path, value)
        meta = live["metadata"]
        for path, who in clashes:
            _own(meta, who, None, owned[who] - {path})
        _own(meta, manager, "Apply", set(wanted))
        return self.put(key, live, dry_run=dry_run)

    def merge(self, key: Key, patch: Object, manager: str) -> Object:
        """A JSON merge patch; a `uid` and a `resourceVersion` in it are preconditions."""
        live = copy.deepcopy(self.get(key))
        uid = patch.get("metadata", {}).get("uid")
        if uid and uid != live["metadata"]["uid"]:
            raise _immutable_uid(key, uid)
        version = patch.get("metadata", {}).get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict", "the object has been modified; please apply your changes")
        _merge(live, patch)
        _own(live["metadata"], manager, "Update", set(leaves(patch)) - {("metadata", "uid")})
        return self.put(key, live)

    def delete(self, key: Key, uid: str | None = None, finalizers: tuple[str, ...] = ()) -> Object | None:
        """The object while finalizers (its own, or those given) hold it; None when it is gone."""
        live = copy.deepcopy(self.get(key))
        if uid and uid != live["metadata"]["uid"]:
            raise Refusal(409, "Conflict", "Precondition failed: UID in precondition does not match")
        meta = live["metadata"]
        meta["finalizers"] = list(dict.fromkeys([*meta.get("finalizers", ()), *finalizers]))
        if not meta["finalizers"]:
            self._record(key, "DELETED", live)
            return None
        meta.setdefault("deletionTimestamp", now())
        return self._record(key, "MODIFIED", live)

    def release(self, key: Key, finalizer: str) -> None:
        """Take a finalizer off; an object that is being deleted goes with its last one."""
        if key not in self.objects:
            return
        live = copy.deepcopy(self.objects[key])
        meta = live["metadata"]
        meta["finalizers"] = [one for one in meta.get("finalizers", ()) if one != finalizer]
        gone = meta.get("deletionTimestamp") and not meta["finalizers"]
        self._record(key, "DELETED" if gone else "MODIFIED", live)

    def _record(self, key: Key, what: str, item: Object) -> Object:
        self.version += 1
        before, meta = self.objects.get(key), item["metadata"]
        if before is not None and before.get("spec") != item.get("spec"):
            meta["generation"] = before["metadata"].get("generation", 1) + 1
        meta["resourceVersion"] = str(self.version)
        if what == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = item
        self.history.append((self.version, key, what, item))
        for one in list(self.told):
            one(key, what, item)
        return item


def _immutable_uid(key: Key, uid: str) -> Refusal:
    said = f'"{key[2]}" is invalid: metadata.uid: Invalid value: "{uid}": field is immutable'
    return Refusal(422, "Invalid", said, name=key[2], kind=key[0])


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def leaves(item: Object, path: Leaf = ()) -> dict[Leaf, Any]:
    """Values by path; lists are whole values here, as the atomic ones are."""
    found: dict[Leaf, Any] = {}
    for key, value in item.items():
        if path == () and key not in ("spec", "metadata"):
            continue
        if path == ("metadata",) and key not in ("labels", "annotations"):
            continue
        if isinstance(value, dict):
            found |= leaves(value, (*path, key))
        else:
            found[*path, key] = value
    return found


def at(item: Any, path: Leaf) -> Any:
    for part in path:
        item = item.get(part) if isinstance(item, dict) else None
    return item


def _set(item: Object, path: Leaf, value: Any) -> None:
    for part in path[:-1]:
        item = item.setdefault(part, {})
    item[path[-1]] = copy.deepcopy(value)


def _remove(item: Object, path: Leaf) -> None:
    """The field, and what holds nothing any more without it."""
    first, *rest = path
    if rest and isinstance(item.get(first), dict):
        _remove(item[first], tuple(rest))
    if not rest or item.get(first) == {}:
        item.pop(first, None)


def _merge(item: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict):
            _merge(item.setdefault(key, {}), value)
        else:
            item[key] = value


def _content(item: Object) -> str:
    meta = {
        key: value for key, value in item["metadata"].items() if key not in ("resourceVersion", "generation")
    }
    return json.dumps({**item, "metadata": meta}, sort_keys=True)


def _own(meta: Object, manager: str, operation: str | None, paths: set[Leaf]) -> None:
    entries = [one for one in meta.get("managedFields", ()) if one["manager"] != manager]
    old = next((one for one in meta.get("managedFields", ()) if one["manager"] == manager), {})
    if operation == "Update" and old:
        paths = paths | _paths(old["fieldsV1"])
    if paths:
        fields: Object = {}
        for path in sorted(paths):
            here = fields
            for part in path:
                here = here.setdefault(f"f:{part}", {})
        entries.append(
            {"manager": manager, "operation": operation or old.get("operation"), "fieldsV1": fields}
        )
    meta["managedFields"] = entries


def _owners(item: Object) -> dict[str, set[Leaf]]:
    found: dict[str, set[Leaf]] = defaultdict(set)
    for entry in item["metadata"].get("managedFields", ()):
        found[entry["manager"]] |= _paths(entry["fieldsV1"])
    return found


def _paths(fields: Object, path: Leaf = ()) -> set[Leaf]:
    found: set[Leaf] = set()
    for key, inner in fields.items():
        found |= _paths(inner, (*path, key[2:])) if inner else {(*path, key[2:])}
    return found
