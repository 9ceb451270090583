"""Slots and the logs of their model servers."""

import asyncio

import httpx2
import pytest

from model_manager.web.slots import new_lines
from tests.web.asking import messages, problem

Client = httpx2.AsyncClient


async def test_slots_say_what_is_wanted_and_what_serves(client: Client) -> None:
    slots = (await client.get("/slots")).json()["slots"]
    assert [(slot["name"], slot["state"], slot["desired"]) for slot in slots] == [
        ("active-llm", "empty", None),
        ("second", "empty", None),
    ]
    await client.post("/models/activate?wait=30", json={"id": "demo", "slot": "second"})
    slot = (await client.get("/slots/second")).json()
    assert (slot["state"], slot["serving"], slot["desired"]["modelId"]) == ("active", "demo", "demo")
    activations = (await client.get("/activations?slot=second")).json()["activations"]
    assert activations == [slot["desired"]]
    assert (await client.get("/activations?slot=active-llm")).json() == {"activations": [], "next": None}


async def test_an_unknown_slot_is_a_problem(client: Client) -> None:
    for path in ("/slots/third", "/slots/third/logs", "/slots/third/logs?follow=1"):
        problem(await client.get(path), 404, "not_found")


async def test_logs_are_lines_or_a_stream_of_lines(client: Client) -> None:
    assert (await client.get("/slots/second/logs")).json() == {"slot": "second", "lines": []}
    await client.post("/models/activate?wait=30", json={"id": "demo", "slot": "second"})
    lines = (await client.get("/slots/second/logs")).json()["lines"]
    assert any(line.startswith("listening on") for line in lines)
    assert (await client.get("/slots/second/logs?lines=1")).json()["lines"] == lines[-1:]
    async with (
        asyncio.timeout(10),
        client.stream("GET", "/slots/second/logs?follow=true") as stream,
    ):
        feed = messages(stream)
        assert [(await anext(feed))["data"]["line"] for _ in lines] == lines

    stream_accepted = {"accept": "text/event-stream"}
    async with (
        asyncio.timeout(10),
        client.stream("GET", "/slots/second/logs?lines=1", headers=stream_accepted) as stream,
    ):
        feed = messages(stream)
        assert (await anext(feed))["data"]["line"] == lines[-1]
        await client.post("/models/activate?wait=30", json={"id": "pirate", "slot": "second"})
        while not (await anext(feed))["data"]["line"].startswith("listening on"):
            pass


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ([], [], []),
        ([], ["a"], ["a"]),
        (["a"], ["a"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        (["b"], ["a", "b", "c"], ["a", "b", "c"]),
        (["x", "x"], ["x", "x", "x"], ["x"]),
        (["a", "b"], [], []),
    ],
)
def test_new_lines_of_a_followed_log(before: list[str], now: list[str], new: list[str]) -> None:
    assert new_lines(before, now) == new
