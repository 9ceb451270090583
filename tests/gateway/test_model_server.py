"""The gateway before a model server that is a process of its own: real death, real cancelling."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from model_manager.relay import Relay
from tests.gateway.serving import Gateway, Slots, serving
from tests.waiting import until

PROGRAM = Path(__file__).parent.parent / "model_server.py"


@asynccontextmanager
async def before(*behaviours: str) -> AsyncIterator[tuple[str, Gateway]]:
    """A model server that behaves like this, and the gateway before it."""
    words = [word for behaviour in behaviours for word in ("--behaviour", behaviour)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-E", str(PROGRAM), "--alias", "served-demo", *words),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "ENGINE_API_KEY": "upstream-k3y"},
    )
    assert process.stderr is not None
    line = await process.stderr.readline()
    url = "http://" + line.decode().removeprefix("listening on ").strip()
    try:
        async with serving(Slots(url)) as gateway:
            yield url, gateway
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def stats(url: str) -> dict[str, Any]:
    relay = Relay()
    try:
        _, counts = await relay.json("GET", url + "/stats")
        return dict(counts)
    finally:
        await relay.aclose()


def words(stream: bytes) -> list[str]:
    events = [event.removeprefix(b"data: ") for event in stream.split(b"\n\n") if event]
    choices = [json.loads(event).get("choices", []) for event in events if event != b"[DONE]"]
    return [one["delta"]["content"] for some in choices for one in some if one["delta"]]


async def test_a_stream_comes_whole() -> None:
    async with before("tokens:5") as (_, gateway):
        answer = await gateway.ask({"model": "demo", "messages": [], "stream": True})
        assert words(answer.body) == ["Aye", ", ", "the ", "wind ", "is "]
        assert answer.complete
        assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_w5_a_server_that_dies_at_a_token() -> None:
    async with before("die_at_token:3") as (_, gateway):
        answer = await gateway.ask({"model": "demo", "messages": [], "stream": True})
        assert words(answer.body) == ["Aye", ", ", "the "]
        assert b'"upstream_error"' in answer.body
        assert not answer.complete
        again = await gateway.ask({"model": "demo", "messages": []})
        assert (again.status, again.error["code"]) == (502, "upstream_error")


async def test_w8_a_client_that_leaves_stops_the_generation() -> None:
    async with before("slow_tokens:0.2", "tokens:1000") as (url, gateway):
        client = await gateway.connect()
        await client.send({"model": "demo", "messages": [], "stream": True})
        await client.reader.readuntil(b"Aye")
        assert (await stats(url))["active"] == 1
        client.leave()

        async def stopped() -> bool:
            seen = await stats(url)
            return (seen["active"], seen["cancelled"]) == (0, 1)

        await until(stopped, timeout=1)
