"""Slots and activations on a real state file: every end, what the slot wants next, and which weights are in use."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from model_manager.catalog.entry import Entry
from model_manager.errors import NotFound
from model_manager.events import EventLog
from model_manager.serving import ledger
from model_manager.serving.ledger import Draft, Failure, Row
from model_manager.serving.platform import ACTIVATION_LABEL
from model_manager.state.database import Database, Transaction

BROKEN = Failure("exit", "It ended at once.", "Look at its log.", 137, ("killed",))


class Book:
    """A ledger with short verbs, so that a test reads like a history."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.events = EventLog(database)

    async def begin(self, name: str) -> Row:
        await self.database.write(lambda txn: ledger.begin(txn, self.events, draft(name)))
        return await self.row(name)

    async def phase(self, name: str, phase: Any) -> Row:
        row = await self.row(name)
        await self.database.write(lambda txn: ledger.enter(txn, self.events, row, phase))
        return await self.row(name)

    async def active(self, name: str) -> Row:
        row = await self.row(name)
        await self.database.write(lambda txn: ledger.succeed(txn, self.events, row, 1.0))
        return await self.row(name)

    async def fail(self, name: str, result: Any = "failed", held: str | None = None) -> Row:
        row = await self.row(name)
        await self.database.write(
            lambda txn: ledger.settle(txn, self.events, row, result, BROKEN, "system", held)
        )
        return await self.row(name)

    async def row(self, name: str) -> Row:
        return await self.database.read(lambda c: ledger.activation(c, name))

    async def slot(self) -> ledger.SlotRow:
        return await self.database.read(lambda c: ledger.slot(c, "active-llm"))

    async def wanted(self) -> Row:
        at = await self.slot()
        assert at.desired is not None
        return await self.row(at.desired)

    async def uses(self) -> list[str]:
        return sorted(await self.database.read(lambda c: ledger.uses(c)))

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.events.page(limit=100)]


def draft(name: str) -> Draft:
    labels = {ACTIVATION_LABEL: name}
    manifest = {"metadata": {"labels": dict(labels)}, "spec": {"predictor": {"labels": dict(labels)}}}
    return Draft(
        id=name, slot="active-llm", model_id=f"model-{name}", entry=Entry(id=f"model-{name}"), entry_hash="h",
        revision="r1", manifest=manifest, weights=f"folder-{name}", actor="test",
    )  # fmt: skip


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    database = await Database.open(tmp_path)
    await database.write(lambda txn: ledger.ensure_slots(txn, ["active-llm", "second"]))
    yield Book(database)
    await database.aclose()


async def test_the_way_to_active(book: Book) -> None:
    await book.begin("a")
    for phase in ("installing", "stopping", "starting", "verifying"):
        assert (await book.phase("a", phase)).phase == phase
    row = await book.active("a")
    assert (row.phase, row.result) == ("active", "active")
    assert await book.slot() == ledger.SlotRow("active-llm", "a", "a")
    assert (await book.kinds())[-2:] == ["activation_active", "model_activated"]


async def test_a_row_comes_back_as_it_was(book: Book) -> None:
    row = await book.begin("a")
    assert (row.model_id, row.entry.id, row.revision, row.weights) == ("model-a", "model-a", "r1", "folder-a")
    assert row.manifest["metadata"]["labels"] == {ACTIVATION_LABEL: "a"}
    assert (row.result, row.log_tail, row.exit_code) == (None, [], None)


async def test_quick_wishes_end_at_the_last_with_a_linear_history(book: Book) -> None:
    """G7: A, B, C in quick succession ends at C."""
    for name in ("a", "b", "c"):
        await book.begin(name)
    assert [(await book.row(name)).result for name in ("a", "b", "c")] == ["superseded", "superseded", None]
    assert (await book.slot()).desired == "c"
    assert await book.kinds() == [
        "activation_queued", "activation_superseded", "activation_queued", "activation_superseded", "activation_queued",
    ]  # fmt: skip


async def test_a_superseded_attempt_cannot_go_on(book: Book) -> None:
    stale = await book.begin("a")
    await book.begin("b")
    assert not await book.database.write(lambda txn: ledger.enter(txn, book.events, stale, "starting"))
    assert not await book.database.write(lambda txn: ledger.succeed(txn, book.events, stale, 1.0))
    assert (await book.slot()).last_good is None


async def test_a_failure_after_the_stop_begins_a_restoration_in_the_same_commit(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    await book.begin("b")
    await book.phase("b", "starting")
    failed = await book.fail("b")
    assert (failed.result, failed.phase) == ("failed", "failed")
    assert (failed.code, failed.reason) == (BROKEN.code, BROKEN.reason)
    assert failed.hint == f"{BROKEN.hint} model-a is put back."
    assert (failed.exit_code, failed.log_tail) == (137, ["killed"])
    again = await book.wanted()
    assert (again.model_id, again.restores, failed.restored_by) == ("model-a", "b", again.id)
    assert again.manifest["metadata"]["labels"][ACTIVATION_LABEL] == again.id
    assert again.manifest["spec"]["predictor"]["labels"][ACTIVATION_LABEL] == again.id
    await book.active(again.id)
    assert (await book.row("b")).result == "restored"
    assert (await book.slot()).last_good == again.id


async def test_a_failed_restoration_is_not_followed_by_another(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    await book.begin("b")
    await book.phase("b", "starting")
    await book.fail("b")
    again = await book.wanted()
    await book.phase(again.id, "starting")
    await book.fail(again.id)
    at = await book.slot()
    assert (at.desired, at.last_good) == (again.id, None)
    assert (await book.row("b")).result == "failed"


async def test_a_failure_before_the_stop_leaves_the_old_model_as_it_was(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    await book.begin("b")
    await book.phase("b", "installing")
    failed = await book.fail("b")
    assert failed.restored_by == "a"
    assert await book.slot() == ledger.SlotRow("active-llm", "a", "a")


async def test_a_refusal_while_the_platform_holds_the_old_model_leaves_it_as_it_was(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    await book.begin("b")
    await book.phase("b", "stopping")
    failed = await book.fail("b", held="a")
    assert (failed.result, failed.restored_by) == ("failed", "a")
    assert failed.hint.endswith("model-a serves on.")
    assert await book.slot() == ledger.SlotRow("active-llm", "a", "a")
    assert (await book.row("a")).result == "active"


async def test_a_restoration_that_is_refused_while_the_old_model_is_still_there_leaves_it_as_it_was(
    book: Book,
) -> None:
    """`b` was cancelled before it was applied."""
    await book.begin("a")
    await book.active("a")
    await book.begin("b")
    await book.phase("b", "stopping")
    await book.fail("b", "cancelled")
    again = await book.wanted()
    await book.phase(again.id, "stopping")
    assert (await book.fail(again.id, held="a")).restored_by == "a"
    assert await book.slot() == ledger.SlotRow("active-llm", "a", "a")


async def test_a_last_good_model_that_was_starting_again_goes_on_if_the_platform_holds_it(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    await book.phase("a", "starting")
    await book.begin("b")
    await book.phase("b", "stopping")
    await book.fail("b", held="a")
    row = await book.wanted()
    assert (row.id, row.phase, row.result, row.code, row.reason) == ("a", "starting", None, "", "")
    assert await book.uses() == ["folder-a"]


async def test_what_is_taken_back_is_wanted_again_unless_a_user_said_otherwise(book: Book) -> None:
    await book.begin("a")
    await book.phase("a", "starting")
    await book.begin("b")
    await book.fail("b", held="a")
    a = await book.row("a")
    await book.database.write(lambda txn: ledger.take_back(txn, book.events, a, "another"))
    assert (await book.wanted()).id == "b"
    await book.database.write(lambda txn: ledger.take_back(txn, book.events, a, "b"))
    row = await book.wanted()
    assert (row.id, row.phase, row.result, row.ended_at, row.reason) == ("a", "starting", None, None, "")
    assert await book.uses() == ["folder-a"]


async def test_a_first_model_that_fails_stays_the_reason_that_is_shown(book: Book) -> None:
    await book.begin("a")
    await book.phase("a", "starting")
    await book.fail("a")
    assert (await book.wanted()).reason == BROKEN.reason
    assert await book.uses() == []


async def test_cancelling_the_first_model_empties_the_slot(book: Book) -> None:
    await book.begin("a")
    await book.fail("a", "cancelled")
    assert (await book.slot()).desired is None


async def test_the_last_good_model_is_restored_even_if_it_was_starting_again(book: Book) -> None:
    """The service was restarted, `a` was on its way back, and `b` was asked for and failed."""
    await book.begin("a")
    await book.active("a")
    await book.phase("a", "starting")
    await book.begin("b")
    assert (await book.row("a")).result == "superseded"
    await book.fail("b")
    again = await book.wanted()
    assert (again.model_id, again.restores) == ("model-a", "b")


async def test_uses_follow_what_may_still_be_needed(book: Book) -> None:
    await book.begin("a")
    assert await book.uses() == ["folder-a"]
    await book.active("a")
    await book.begin("b")
    assert await book.uses() == ["folder-a", "folder-b"]
    await book.active("b")
    assert await book.uses() == ["folder-b"]
    await book.database.write(lambda txn: ledger.want(txn, "active-llm", None))
    await book.database.write(lambda txn: ledger.forget_last_good(txn, "active-llm"))
    assert await book.uses() == []


async def test_a_failed_attempt_holds_no_weights(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    await book.begin("b")
    await book.fail("b")
    assert await book.uses() == ["folder-a"]


async def test_old_attempts_are_forgotten_but_not_those_still_needed(book: Book) -> None:
    await book.begin("a")
    await book.active("a")
    for name in ("b", "c", "d"):
        await book.begin(name)
    await book.database.write(lambda txn: ledger.prune(txn, keep=1))
    rows = await book.database.read(lambda c: ledger.activations(c, 10))
    assert [row.id for row in rows] == ["d", "a"]


async def test_the_first_model_is_created_and_the_next_one_an_update(book: Book) -> None:
    for name in ("a", "b"):
        await book.begin(name)
        await book.active(name)
    told = [event.data["action"] for event in await book.events.page(kind="model_activated")]
    assert told == ["created", "updated"]


async def test_nothing_is_written_when_the_caller_fails(book: Book) -> None:
    def write(txn: Transaction) -> None:
        ledger.begin(txn, book.events, draft("a"))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        await book.database.write(write)
    assert (await book.slot()).desired is None
    assert await book.kinds() == []


async def test_absent_rows_are_sentences(book: Book) -> None:
    with pytest.raises(NotFound, match="no activation 'x'"):
        await book.row("x")
    with pytest.raises(NotFound, match="no slot 'x'"):
        await book.database.read(lambda c: ledger.slot(c, "x"))
