"""The rows of slots and activations: what was asked of each slot, and how each attempt went.

Every function takes the transaction (or reading connection) of its caller, so that a decision, its event and
its uses of weights are one commit. A slot's uses are the folders that its desired and its last good activation need.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import msgspec

from model_manager.catalog.entry import DECODER, Entry
from model_manager.errors import NotFound
from model_manager.events import EventLog, timestamp
from model_manager.serving.activation import Phase, Result
from model_manager.serving.evidence import Evidence
from model_manager.serving.platform import ACTIVATION_LABEL, ADOPT_ANNOTATION, Manifest
from model_manager.state.database import Transaction

ENDS = ("failed", "restored", "superseded", "cancelled")
"""Results after which an activation holds nothing any more; `active` is the one that goes on."""


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt ended: a word for programs, a sentence, what to do next, and the evidence."""

    code: str
    reason: str
    hint: str = ""
    exit_code: int | None = None
    log_tail: tuple[str, ...] = ()
    evidence: Evidence = Evidence()


class Draft(msgspec.Struct, kw_only=True):
    """What a new activation is made of. `restores`: the failed one that it makes up for."""

    id: str
    slot: str
    model_id: str
    entry: Entry
    entry_hash: str
    revision: str
    manifest: Manifest
    weights: str | None
    actor: str
    restores: str | None = None


class Row(Draft, kw_only=True):
    """One activation as it is stored: what it was made of, and how it went. `seq` is its place in the order."""

    seq: int
    phase: Phase
    result: Result | None
    code: str
    reason: str
    hint: str
    exit_code: int | None
    log_tail: list[str]
    evidence: Evidence
    restored_by: str | None
    job_id: str | None
    created_at: str
    phase_at: str
    ended_at: str | None


class SlotRow(msgspec.Struct):
    name: str
    desired: str | None
    last_good: str | None


def new_id() -> str:
    """An activation's id; it becomes a Kubernetes label value, so it stays short and lower-case."""
    return uuid4().hex[:12]


def ensure_slots(txn: Transaction, names: Iterable[str]) -> None:
    """The slots that there are now. One that is not declared any more uses nothing; if it comes back, it does again."""
    txn.execute("DELETE FROM weight_uses")
    for name in names:
        txn.execute("INSERT OR IGNORE INTO slots (name) VALUES (?)", (name,))
        _set_uses(txn, name)


def slot(connection: Transaction | sqlite3.Connection, name: str) -> SlotRow:
    row = connection.execute("SELECT name, desired, last_good FROM slots WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"There is no slot {name!r}.", "`model-manager status` lists the slots.")
    return SlotRow(*row)


def activation(connection: Transaction | sqlite3.Connection, activation_id: str) -> Row:
    row = connection.execute(f"SELECT {_COLUMNS} FROM activations WHERE id = ?", (activation_id,)).fetchone()
    if row is None:
        raise NotFound(
            f"There is no activation {activation_id!r}.", "`model-manager activations` lists them."
        )
    return _row(row)


def desired(connection: Transaction | sqlite3.Connection, slot_name: str) -> Row | None:
    """The activation that a slot wants."""
    wanted = slot(connection, slot_name).desired
    return activation(connection, wanted) if wanted else None


def activations(
    connection: sqlite3.Connection, limit: int, *, slot_name: str | None = None, model_id: str | None = None,
    result: Result | None = None, before: int | None = None,
) -> list[Row]:  # fmt: skip
    """Newest first; `before`: only those whose `seq` is smaller."""
    wanted = {"slot = ?": slot_name, "model_id = ?": model_id, "result = ?": result, "seq < ?": before}
    given = {condition: value for condition, value in wanted.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    sql = f"SELECT {_COLUMNS} FROM activations {where} ORDER BY seq DESC LIMIT ?"
    return [_row(row) for row in connection.execute(sql, [*given.values(), limit])]


def latest_attempt(connection: sqlite3.Connection, slot_name: str) -> Row | None:
    """What a user last asked of a slot, however it went; restorations are nobody's wish."""
    where = "WHERE slot = ? AND restores IS NULL ORDER BY seq DESC LIMIT 1"
    row = connection.execute(f"SELECT {_COLUMNS} FROM activations {where}", (slot_name,)).fetchone()
    return _row(row) if row else None


def begin(txn: Transaction, events: EventLog, draft: Draft) -> bool:
    """Make this the desired activation of its slot; whether an attempt on its way there is thereby superseded."""
    at = slot(txn, draft.slot)
    superseded = at.desired is not None and _supersede(txn, events, activation(txn, at.desired), draft)
    stamp = timestamp()
    values: dict[str, Any] = {
        "id": draft.id, "slot": draft.slot, "model_id": draft.model_id, "entry_hash": draft.entry_hash,
        "revision": draft.revision, "weights": draft.weights, "actor": draft.actor, "restores": draft.restores,
        "entry": _json(draft.entry), "manifest": _json(draft.manifest), "phase": "queued", "log_tail": "[]",
        "reason": "", "hint": "", "code": "", "created_at": stamp, "phase_at": stamp,
    }  # fmt: skip
    names = ", ".join(values)
    txn.execute(f"INSERT INTO activations ({names}) VALUES ({', '.join(':' + n for n in values)})", values)
    if draft.restores:
        txn.execute("UPDATE activations SET restored_by = ? WHERE id = ?", (draft.id, draft.restores))
    want(txn, draft.slot, draft.id)
    facts = {"revision": draft.revision}
    _tell(txn, events, draft.id, draft.slot, draft.model_id, "queued", draft.actor, facts)
    return superseded


def want(txn: Transaction, slot_name: str, activation_id: str | None) -> None:
    """Set the slot's desired state, and the uses of weights that follow from it."""
    txn.execute("UPDATE slots SET desired = ? WHERE name = ?", (activation_id, slot_name))
    _set_uses(txn, slot_name)


def forget_last_good(txn: Transaction, slot_name: str) -> None:
    txn.execute("UPDATE slots SET last_good = NULL WHERE name = ?", (slot_name,))
    _set_uses(txn, slot_name)


def enter(
    txn: Transaction, events: EventLog, row: Row, phase: Phase, *, job: str = "", reason: str = ""
) -> bool:
    """Move a wanted attempt to its next phase; False when a user's later word has overtaken it."""
    if slot(txn, row.slot).desired != row.id:
        return False
    txn.execute(
        "UPDATE activations SET phase = ?, phase_at = ?, result = NULL WHERE id = ?",
        (phase, timestamp(), row.id),
    )
    if job:
        txn.execute("UPDATE activations SET job_id = ? WHERE id = ?", (job, row.id))
    facts = {name: value for name, value in (("job", job), ("reason", reason)) if value}
    _tell(txn, events, row.id, row.slot, row.model_id, phase, row.actor, facts)
    return True


def succeed(txn: Transaction, events: EventLog, row: Row, seconds: float) -> bool:
    """The attempt serves: it becomes the slot's last good one. False when it is not wanted any more."""
    at = slot(txn, row.slot)
    if at.desired != row.id:
        return False
    stamp = timestamp()
    txn.execute(
        "UPDATE activations SET phase = 'active', result = 'active', phase_at = ?, ended_at = ? WHERE id = ?",
        (stamp, stamp, row.id),
    )
    txn.execute("UPDATE slots SET last_good = ? WHERE name = ?", (row.id, row.slot))
    _set_uses(txn, row.slot)
    if row.restores is not None:
        txn.execute("UPDATE activations SET result = 'restored' WHERE id = ?", (row.restores,))
        failed = activation(txn, row.restores)
        _tell(txn, events, failed.id, failed.slot, failed.model_id, "restored", "system", {"by": row.id})
    _tell(txn, events, row.id, row.slot, row.model_id, "active", row.actor, {"seconds": round(seconds, 3)})
    action = "updated" if at.last_good else "created"
    data = {"action": action, "slot": row.slot, "activation": row.id, "modelId": row.model_id}
    events.append(txn, "model_activated", row.model_id, data, row.actor)
    return True


def end(
    txn: Transaction, events: EventLog, row: Row, result: Result, failure: Failure, actor: str = "system"
) -> None:
    """Record how an attempt ended. The caller decides in the same transaction what the slot wants next."""
    stamp = timestamp()
    phase = "failed" if result == "failed" else row.phase
    txn.execute(
        "UPDATE activations SET result = ?, phase = ?, code = ?, reason = ?, hint = ?, exit_code = ?, log_tail = ?,"
        " evidence = ?, phase_at = ?, ended_at = ? WHERE id = ?",
        (result, phase, failure.code, failure.reason, failure.hint, failure.exit_code,
         _json(failure.log_tail), _json(failure.evidence), stamp, stamp, row.id),
    )  # fmt: skip
    facts = {"code": failure.code, "reason": failure.reason, "hint": failure.hint, "phase": row.phase}
    _tell(txn, events, row.id, row.slot, row.model_id, result, actor, facts)


def prune(txn: Transaction, keep: int = 1000) -> None:
    """Forget all but the newest activations; never one that a slot wants or would go back to."""
    txn.execute(
        "DELETE FROM activations WHERE seq <= (SELECT max(seq) FROM activations) - ? AND id NOT IN"
        " (SELECT desired FROM slots WHERE desired NOTNULL UNION SELECT last_good FROM slots WHERE last_good NOTNULL)",
        (keep,),
    )


def settle(
    txn: Transaction, events: EventLog, row: Row, result: Result, failure: Failure, actor: str,
    held: str | None = None,
) -> None:  # fmt: skip
    """End an attempt and say, in the same commit, what its slot wants next: the last good one, else nothing.

    An attempt that was itself a restoration is not followed by another, so a slot cannot flap. Where the old model
    was not touched yet, or the platform still holds it (`held`: its activation), it just stays wanted; else a new
    activation of it begins.
    """
    at = slot(txn, row.slot)
    if at.desired != row.id:
        end(txn, events, row, result, failure, actor)
        return
    good = activation(txn, at.last_good) if at.last_good not in (None, row.id) else None
    preparing = row.restores is None and row.phase in ("queued", "installing")
    untouched = good is not None and (held == good.id or (preparing and good.result == "active"))
    if good is None or (row.restores is not None and not untouched):
        end(txn, events, row, result, failure, actor)
        want(txn, row.slot, None if result == "cancelled" else row.id)
        forget_last_good(txn, row.slot)
        return
    consequence = f"{good.model_id} serves on." if untouched else f"{good.model_id} is put back."
    told = msgspec.structs.replace(failure, hint=f"{failure.hint} {consequence}".strip())
    end(txn, events, row, result, told, actor)
    if untouched:
        txn.execute("UPDATE activations SET restored_by = ? WHERE id = ?", (good.id, row.id))
        want(txn, row.slot, good.id)
        if good.result != "active":
            _go_on(txn, events, good)
    else:
        begin(txn, events, again(good, restores=row.id))


def take_back(txn: Transaction, events: EventLog, row: Row, failed: str) -> None:
    """Want what the platform still holds in place of what `failed`: it is verified next, not started."""
    if slot(txn, row.slot).desired == failed:
        want(txn, row.slot, row.id)
        _go_on(txn, events, row)


def _go_on(txn: Transaction, events: EventLog, row: Row) -> None:
    txn.execute(
        "UPDATE activations SET code = '', reason = '', hint = '', ended_at = NULL WHERE id = ?", (row.id,)
    )
    enter(txn, events, row, "starting", reason="It was running already.")
    _set_uses(txn, row.slot)


def is_known(connection: Transaction | sqlite3.Connection, activation_id: str) -> bool:
    found = connection.execute("SELECT 1 FROM activations WHERE id = ?", (activation_id,)).fetchone()
    return found is not None


def take_over(txn: Transaction, events: EventLog, draft: Draft) -> None:
    """Make what runs already the slot's desired activation: it is verified next, not started."""
    if is_known(txn, draft.id):
        return
    begin(txn, events, draft)
    enter(txn, events, activation(txn, draft.id), "starting", reason="It was running already.")


def is_awaited(txn: Transaction, job_id: str) -> bool:
    """Whether an attempt under way, of any slot, needs this job."""
    sql = "SELECT 1 FROM activations WHERE job_id = ? AND result IS NULL LIMIT 1"
    return txn.execute(sql, (job_id,)).fetchone() is not None


def again(good: Row, restores: str | None) -> Draft:
    """A new attempt at what once served: same entry, same commit, same manifest but for its label."""
    fresh = new_id()
    manifest = msgspec.json.decode(msgspec.json.encode(good.manifest))
    for labels in (manifest["metadata"]["labels"], manifest["spec"]["predictor"]["labels"]):
        labels[ACTIVATION_LABEL] = fresh
    (manifest["metadata"].get("annotations") or {}).pop(ADOPT_ANNOTATION, None)
    return Draft(
        id=fresh, slot=good.slot, model_id=good.model_id, entry=good.entry, entry_hash=good.entry_hash,
        revision=good.revision, manifest=manifest, weights=good.weights, actor="system", restores=restores,
    )  # fmt: skip


def uses(connection: Transaction | sqlite3.Connection, folder: str | None = None) -> dict[str, list[str]]:
    """Weights folders in use, each with its users' names such as `slot active-llm`."""
    where, values = ("WHERE folder = ?", (folder,)) if folder is not None else ("", ())
    found: dict[str, list[str]] = {}
    for name, owner in connection.execute(
        f"SELECT folder, owner FROM weight_uses {where} ORDER BY owner", values
    ):
        found.setdefault(name, []).append(owner)
    return found


def _supersede(txn: Transaction, events: EventLog, before: Row, draft: Draft) -> bool:
    if before.result is not None:
        return False
    reason = f"{draft.model_id} was asked for before {before.model_id} was active."
    end(txn, events, before, "superseded", Failure("superseded", reason), draft.actor)
    return True


def _set_uses(txn: Transaction, slot_name: str) -> None:
    owner = f"slot {slot_name}"
    txn.execute("DELETE FROM weight_uses WHERE owner = ?", (owner,))
    txn.execute(
        "INSERT OR IGNORE INTO weight_uses (folder, owner) SELECT a.weights, ? FROM slots s JOIN activations a"
        " ON a.id = s.last_good OR (a.id = s.desired AND (a.result IS NULL OR a.result = 'active'))"
        " WHERE s.name = ? AND a.weights IS NOT NULL",
        (owner, slot_name),
    )


def _tell(
    txn: Transaction, events: EventLog, activation_id: str, slot_name: str, model_id: str, word: str, actor: str,
    facts: dict[str, Any],
) -> None:  # fmt: skip
    data = {"activation": activation_id, "slot": slot_name, "modelId": model_id, **facts}
    events.append(txn, f"activation_{word}", slot_name, data, actor)


_FIELDS = tuple(field.name for field in msgspec.structs.fields(Row))
_COLUMNS = ", ".join(_FIELDS)
_EVIDENCE = msgspec.json.Decoder(Evidence)


def _row(values: Any) -> Row:
    facts = dict(zip(_FIELDS, values, strict=True))
    facts["entry"] = DECODER.decode(facts["entry"])
    facts["manifest"] = msgspec.json.decode(facts["manifest"])
    facts["log_tail"] = msgspec.json.decode(facts["log_tail"])
    facts["evidence"] = _EVIDENCE.decode(facts["evidence"])
    return Row(**facts)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
