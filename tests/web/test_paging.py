"""Getting through long lists page by page, and asking for a part of them."""

from base64 import urlsafe_b64encode
from typing import Any

import httpx2
import pytest

from model_manager.errors import Unprocessable
from model_manager.web.paging import cursor_after, page, position, sequence
from tests.house import House
from tests.web.asking import problem

Client = httpx2.AsyncClient


async def walked(client: Client, path: str, noun: str, **query: Any) -> list[list[dict[str, Any]]]:
    """All pages of a list, by following `next`."""
    pages, cursor = [], None
    while True:
        asked = query if cursor is None else {**query, "cursor": cursor}
        answer = (await client.get(path, params=asked)).json()
        pages.append(answer[noun])
        if (cursor := answer["next"]) is None:
            return pages


async def make_jobs(house: House, count: int) -> list[str]:
    """Ids of jobs that are over, oldest first."""
    made = []
    for number in range(count):
        job = await house.parts.jobs.submit("none", f"key-{number}", {}, "test")
        await house.parts.jobs.wait(job.id)
        made.append(job.id)
    return made


async def test_jobs_are_walked_page_by_page_even_while_new_ones_come(client: Client, house: House) -> None:
    made = await make_jobs(house, 5)
    first = (await client.get("/jobs?limit=2")).json()
    await make_jobs(house, 1)
    second = (await client.get("/jobs", params={"limit": 2, "cursor": first["next"]})).json()
    third = (await client.get("/jobs", params={"limit": 2, "cursor": second["next"]})).json()
    assert [job["id"] for one in (first, second, third) for job in one["jobs"]] == made[::-1]
    assert third["next"] is None


async def test_a_page_that_ends_with_the_list_names_no_other(client: Client, house: House) -> None:
    made = await make_jobs(house, 2)
    answer = (await client.get("/jobs?limit=2")).json()
    assert ([job["id"] for job in answer["jobs"]], answer["next"]) == (made[::-1], None)


async def test_history_by_pages_and_by_what_is_asked(client: Client, house: House) -> None:
    await make_jobs(house, 3)
    whole = (await client.get("/history?limit=1000")).json()["events"]
    pages = await walked(client, "/history", "events", limit=2)
    assert [event for one in pages for event in one] == whole
    assert [len(one) for one in pages[:-1]] == [2] * (len(pages) - 1)

    by_test = (await client.get("/history?actor=test")).json()["events"]
    assert by_test == [event for event in whole if event["actor"] == "test"] != []
    pending = (await client.get("/history?actor=test&event=none_pending&subject=key-1")).json()["events"]
    assert pending == [event for event in by_test if event["subject"] == "key-1"]
    newest = whole[0]["createdAt"]
    late = (await client.get("/history", params={"since": newest})).json()["events"]
    assert late == [event for event in whole if event["createdAt"] >= newest] != []
    assert (await client.get("/history?since=9999-12-31T23:59:59-14:00")).json()["events"] == []
    assert (await client.get("/history?since=0001-01-01T00:00:00%2B14:00&limit=1000")).json()[
        "events"
    ] == whole
    local = (await client.get("/history?since=2001-01-01T00:00:00&limit=1000")).json()["events"]
    assert local == whole


async def test_activations_by_slot_model_and_result(client: Client, house: House) -> None:
    await house.ended(await house.activate("broken"))
    await house.active("demo", "second")
    await house.activate("slow")
    await client.post("/models/deactivate")

    async def asked(query: str) -> list[tuple[str, str]]:
        found = (await client.get(f"/activations?{query}")).json()["activations"]
        return [(one["modelId"], one["result"]) for one in found]

    everything = [("slow", "cancelled"), ("demo", "active"), ("broken", "failed")]
    assert await asked("") == everything
    assert await asked("result=failed") == everything[2:]
    assert await asked("model=slow") == everything[:1]
    assert await asked("slot=second&model=demo&result=active") == everything[1:2]
    assert await asked("slot=second&result=failed") == []
    pages = await walked(client, "/activations", "activations", limit=1)
    assert [(one["modelId"], one["result"]) for (one,) in pages] == everything
    problem(await client.get("/activations?result=perhaps"), 422)


FOREIGN = ("x", "%00", "é", "a" * 201, cursor_after("jobs", 1), cursor_after("history", "x"),
           cursor_after("history", "--1"), cursor_after("history", 2**63), cursor_after("history", "٣"),
           urlsafe_b64encode(b"\xff\xfe").decode())  # fmt: skip


async def test_h10a_cursors_that_are_none_of_ours(client: Client) -> None:
    for cursor in FOREIGN:
        body = problem(await client.get("/history", params={"cursor": cursor}), 422, "unprocessable")
        assert body["data"]["field"] == "cursor"


@pytest.mark.parametrize("last", ["a", "with:colon", "ümlaut", "5"])
def test_a_cursor_leads_back_to_its_place(last: str) -> None:
    cursor = cursor_after("things", last)
    assert position(cursor, "things") == last
    assert cursor.isascii()
    with pytest.raises(Unprocessable):
        position(cursor, "thing")


def test_no_cursor_is_no_place() -> None:
    assert (position(None, "things"), sequence(None, "things")) == (None, None)


@pytest.mark.parametrize(
    ("found", "limit", "shown", "last"),
    [([], 1, [], None), ([1], 1, [1], None), ([1, 2], 1, [1], 1), ([3, 2, 1], 2, [3, 2], 2)],
)
def test_pages(found: list[int], limit: int, shown: list[int], last: int | None) -> None:
    assert page(found, limit, "n", lambda one: one) == (shown, last and cursor_after("n", last))
