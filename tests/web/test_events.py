"""The history, and the same as a live feed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from model_manager.events import EventLog, Progress
from model_manager.web.events import feed
from tests.house import House
from tests.web.asking import install, messages, problem

Client = httpx2.AsyncClient
STREAM = {"accept": "text/event-stream"}


async def append(house: House, *kinds: str) -> None:
    """Several events in one commit."""
    await house.parts.database.write(
        lambda txn: [
            house.parts.events.append(txn, kind, "thing", {"modelId": "m", "n": 1}) for kind in kinds
        ]
    )


def durable(found: list[dict[str, Any]]) -> list[str]:
    return [one["data"]["event"] for one in found if "data" in one and "event" not in one]


async def read(feed: AsyncIterator[dict[str, Any]], until: str) -> list[dict[str, Any]]:
    """Messages up to the event of this kind."""
    found = []
    async with asyncio.timeout(10):
        async for one in feed:
            found.append(one)
            if until in (one.get("event"), one.get("data", {}).get("event")):
                return found
    raise AssertionError(f"the stream ended without {until}: {found}")


async def test_history_is_newest_first_with_the_originals_fields(client: Client, house: House) -> None:
    await append(house, "one", "two")
    newest, older = (await client.get("/history?limit=2")).json()["events"]
    assert (newest["event"], newest["modelId"], newest["metadata"]) == ("two", "m", {"n": 1})
    assert set(newest) == {"id", "event", "modelId", "metadata", "createdAt", "subject", "actor"}
    assert int(newest["id"]) == int(older["id"]) + 1
    before = (await client.get("/history", params={"before": newest["id"], "limit": 1})).json()["events"]
    assert before == [older]
    assert (await client.get("/history?event=one&subject=thing")).json()["events"] == [older]


async def test_events_without_accept_are_a_page_oldest_first(client: Client, house: House) -> None:
    await append(house, "one", "two")
    everything = (await client.get("/events")).json()
    assert [one["event"] for one in everything["events"]][-2:] == ["one", "two"]
    rest = (await client.get("/events", params={"after": everything["events"][-2]["id"]})).json()
    assert [one["event"] for one in rest["events"]] == ["two"]
    assert rest["next"] == everything["next"] == rest["events"][0]["id"]
    assert (await client.get("/events", params={"after": rest["next"]})).json() == {
        "events": [],
        "next": rest["next"],
    }


async def test_a_stream_begins_now_and_says_where_that_is(client: Client, house: House) -> None:
    await append(house, "before")
    newest = (await client.get("/history?limit=1")).json()["events"][0]["id"]
    async with client.stream("GET", "/events", headers=STREAM) as stream:
        feed = messages(stream)
        assert await anext(feed) == {"id": newest}
        await append(house, "after")
        one = await anext(feed)
        assert (one["id"], one["data"]["event"]) == (str(int(newest) + 1), "after")


@pytest.mark.parametrize("by", ["header", "query", "both"])
async def test_w16_a_stream_goes_on_where_it_broke_off(client: Client, house: House, by: str) -> None:
    await append(house, "one", "two", "three")
    last = (await client.get("/history?event=one")).json()["events"][0]["id"]
    headers = STREAM if by == "query" else {**STREAM, "last-event-id": last}
    query = {} if by == "header" else {"after": last if by == "query" else "0"}
    async with client.stream("GET", "/events", params=query, headers=headers) as stream:
        assert durable(await read(messages(stream), "three")) == ["two", "three"]


async def test_w16_a_place_beyond_the_end_is_a_gap_not_a_silence(client: Client, house: House) -> None:
    """As after a restore of an older state file: nothing may be waited for that will never come."""
    async with client.stream("GET", "/events?after=1000000", headers=STREAM) as stream:
        feed = messages(stream)
        await read(feed, "gap")
        await append(house, "new")
        await read(feed, "new")


async def test_last_event_ids_that_are_none(client: Client) -> None:
    for last in ("x", "--1", "-", "1.5", "9" * 30, "0" * 5000, "00000" + "9" * 20):
        problem(await client.get("/events", headers={**STREAM, "last-event-id": last}), 422, "unprocessable")


async def test_progress_has_no_id(client: Client, house: House) -> None:
    async with client.stream("GET", "/events", headers=STREAM) as stream:
        feed = messages(stream)
        await anext(feed)
        house.parts.events.publish(Progress("job", "j1", {"bytes_done": 3}))
        assert await anext(feed) == {
            "event": "progress",
            "data": {
                "kind": "job",
                "subject": "j1",
                "data": {"bytesDone": 3, "bytesTotal": None, "rate": None, "eta": None, "file": None},
            },
        }


async def test_w16_a_slow_reader_misses_nothing_durable(house: House) -> None:
    """More than its queue holds happens while it looks away: it is told of a gap, and gets all of it."""
    log: EventLog = house.parts.events
    stream = feed(log, None)
    first = await anext(stream)
    await append(house, "seen")
    await anext(stream)
    await append(house, *[f"e{number}" for number in range(1500)])
    got = [await anext(stream) for _ in range(1501)]
    await stream.aclose()
    assert sum(one.event == "gap" for one in got) == 1
    assert [one.id for one in got if one.id is not None] == list(range(first.id + 2, first.id + 1502))


async def test_an_install_is_told_as_it_goes(client: Client) -> None:
    async with client.stream("GET", "/events", headers=STREAM) as stream:
        await install(client, "demo")
        kinds = durable(await read(messages(stream), "weight_install_completed"))
    assert kinds == ["weight_install_pending", "weight_install_running", "weight_install_completed"]


async def test_w16_readers_that_leave_or_stall_hold_up_nobody(client: Client, house: House) -> None:
    """Forty readers; every fourth leaves, one never reads: the others get everything."""
    async with AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        stack.callback(writer.transport.abort)
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
        await reader.readline()
        writer.transport.pause_reading()
        feeds = []
        for number in range(40):
            stream = await stack.enter_async_context(client.stream("GET", "/events", headers=STREAM))
            feeds.append(messages(stream))
            await anext(feeds[-1])
            if number % 4 == 0:
                await stream.aclose()
        await append(house, *[f"e{number}" for number in range(50)])
        staying = [feed for number, feed in enumerate(feeds) if number % 4]
        for found in await asyncio.gather(*(read(feed, "e49") for feed in staying)):
            assert durable(found) == [f"e{number}" for number in range(50)]


async def test_streams_let_the_service_stop(client: Client, house: House) -> None:
    async with client.stream("GET", "/events", headers=STREAM) as stream:
        feed = messages(stream)
        await anext(feed)
        house.parts.events.close()
        async with asyncio.timeout(5):
            assert [one async for one in feed] == []
