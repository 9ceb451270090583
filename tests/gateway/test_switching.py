"""Requests while a slot switches, on a whole service with real processes: who waits, who is told what."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from model_manager.relay import Relay
from model_manager.serving.targets import Target
from tests.gateway.serving import Slots, behind, serving
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.relay.upstream import Peer, Upstream, answering, ever
from tests.waiting import until

RUNTIMES = {
    "well": (),
    "late": ("late:0.5",),
    "never-ready": ("never_ready",),
    "dies": ("never_ready", "exit_after:0.5"),
    "slow": ("slow_tokens:0.15", "tokens:3"),
}


@asynccontextmanager
async def house(folder: Path, models: dict[str, str], **settings: Any) -> AsyncIterator[House]:
    write_runtimes(folder / "runtimes", [runtime(name, *words) for name, words in RUNTIMES.items()])
    write_catalog(folder / "catalog", models)
    async with open_house(house_settings(folder, **settings)) as opened:
        yield opened


async def switching(house: House, slot: str = "active-llm") -> None:
    """Wait until the old model takes no more requests."""
    await until(lambda: house.parts.targets.get(slot) is None)


async def test_w1_w15_no_request_is_lost_while_64_clients_ask_during_a_switch(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "slow", "b": "late"}) as h:
        await h.active("a")
        answers: list[tuple[int, str]] = []
        over = asyncio.Event()

        async def client() -> None:
            while not over.is_set():
                status, answer = await h.chat()
                answers.append((status, answer.get("model") or answer["error"]["message"]))

        clients = [asyncio.create_task(client()) for _ in range(64)]
        await until(lambda: len(answers) > 64)
        await h.active("b")
        await until(lambda: (200, "b") in answers)
        over.set()
        await asyncio.gather(*clients)
        assert set(answers) == {(200, "a"), (200, "b")}
        models = [model for _, model in answers]
        assert "a" not in models[models.index("b") :], "whoever asked after the switch got the new model"


async def test_w2_a_request_waits_while_a_dead_server_is_started_again(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "late"}) as h:
        await h.active("a")
        instance = (await h.parts.platform.observe("active-llm")).instances[-1]
        assert instance.pid is not None
        os.kill(instance.pid, signal.SIGKILL)
        await switching(h)
        status, answer = await h.chat("a")
        assert (status, answer["model"]) == (200, "a")


async def test_w3_asking_in_turns_for_two_models_switches_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "b": "well"}) as h:
        await h.active("a")
        started = len(await h.parts.events.page(limit=1000))
        answers = [await h.chat("ab"[turn % 2]) for turn in range(20)]
        assert [status for status, _ in answers] == [200, 404] * 10
        assert answers[1][1]["error"]["message"] == (
            "b is not active. Active now: a. `model-manager activate b` (POST /models/activate) makes it so."
        )
        assert len(await h.parts.events.page(limit=1000)) == started


async def test_requests_for_the_slot_and_for_the_model_that_comes_wait(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "b": "late"}) as h:
        await h.active("a")
        await h.activate("b")
        await switching(h)
        for status, answer in await asyncio.gather(h.chat("active-llm"), h.chat("b"), h.chat("")):
            assert (status, answer["model"]) == (200, "b")


async def test_w4_when_the_switch_fails_waiters_get_the_old_model_or_the_reason(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "bad": "dies"}) as h:
        await h.active("a")
        failing = await h.activate("bad")
        await switching(h)
        by_slot, by_name = await asyncio.gather(h.chat(), h.chat("bad"))
        assert (by_slot[0], by_slot[1]["model"]) == (200, "a")
        status, answer = by_name
        assert (status, answer["error"]["type"]) == (503, "server_error")
        reason = (await h.ended(failing)).reason
        assert f"bad could not be activated in slot active-llm: {reason}" in answer["error"]["message"]
        status, answer = await h.chat("bad")  # afterwards it is just not active, and still told why
        assert (status, answer["error"]["code"]) == (404, "model_not_found")
        assert reason in answer["error"]["message"]


async def test_the_wait_has_a_limit(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "never-ready"}, switch_wait=0.3, activation_timeout=30.0) as h:
        await h.activate("a")
        await until(lambda: h.parts.targets.names())
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, answer = await h.chat()
        assert (status, answer["error"]["code"]) == (503, "unavailable")
        assert "a is on its way in slot active-llm" in answer["error"]["message"]
        assert 0.25 < loop.time() - began < 3


async def test_w7_a_full_queue_is_503_before_any_byte(tmp_path: Path) -> None:
    async with house(tmp_path, {"a": "well", "b": "late"}, switch_queue=2) as h:
        await h.active("a")
        await h.activate("b")
        await switching(h)
        queued = [asyncio.create_task(h.chat()) for _ in range(2)]
        await until(lambda: h.parts.targets.waiting("active-llm") == 2)
        status, answer = await h.chat()
        assert (status, answer["error"]["type"]) == (503, "server_error")
        assert "2 requests wait for it already" in answer["error"]["message"]
        assert [status for status, _ in await asyncio.gather(*queued)] == [200, 200]


async def test_w7_it_says_when_to_come_back() -> None:
    async with serving(Slots("http://127.0.0.1:1", wait=30)) as gateway:  # room for two in the queue
        clients = [await gateway.connect() for _ in range(2)]
        for client in clients:
            await client.send({"model": "late", "stream": True})
        await until(lambda: gateway.slots.waiting("third") == 2)
        answer = await gateway.ask({"model": "late", "stream": True})
        assert (answer.status, answer.header("retry-after"), answer.complete) == (503, "2", True)
        for client in clients:
            client.leave()
        await until(lambda: gateway.slots.waiting("third") == 0, timeout=1)
        await until(lambda: len(gateway.statuses) == 3)
        assert gateway.statuses == [503, 499, 499]


async def test_w8_clients_that_leave_while_they_wait_free_their_places_at_once() -> None:
    async with serving(Slots("http://127.0.0.1:1", wait=30)) as gateway:
        for _ in range(50):
            clients = [await gateway.connect() for _ in range(2)]
            for client in clients:
                await client.send({"model": "third"})
            await until(lambda: gateway.slots.waiting("third") == 2, every=0.001)
            for client in clients:
                client.leave()
            await until(lambda: gateway.slots.waiting("third") == 0, timeout=1, every=0.001)
        await until(lambda: gateway.statuses == [499] * 100)


async def test_w15_a_stream_ends_where_it_began_when_its_name_moves_on() -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await peer.send(b"8\r\ndata: 1\n\r\n")
        await moved.wait()
        await peer.send(b"8\r\ndata: 2\n\r\n0\r\n\r\n")

    moved = asyncio.Event()
    async with behind(talk) as (_, gateway), Upstream(ever) as renamed:
        client = await gateway.connect()
        await client.send({"model": "demo", "stream": True})
        await client.reader.readuntil(b"data: 1\n")
        gateway.slots.close("active-llm")
        gateway.slots.open(Target("second", renamed.url, None, "renamed", "renamed", ("demo",)))
        assert (await gateway.ask({"model": "demo"})).body == b"ok"
        moved.set()
        assert (await client.reader.read(-1)).endswith(b"data: 2\n\r\n0\r\n\r\n")
        assert len(renamed.requests) == 1
        client.leave()


async def test_w11_after_a_spike_of_failures_the_pool_serves_again() -> None:
    async with behind(answering(b"")) as (upstream, gateway):
        spike = await asyncio.gather(*(gateway.ask({}) for _ in range(50)))
        assert {answer.status for answer in spike} == {502}
        upstream.talk = ever
        after = await asyncio.gather(*(gateway.ask({}) for _ in range(50)))
        assert {answer.status for answer in after} == {200}


async def test_a_service_that_ends_does_not_wait_for_those_who_wait(tmp_path: Path) -> None:
    relay = Relay()
    async with house(tmp_path, {"a": "never-ready"}, activation_timeout=60.0) as h:
        await h.activate("a")
        await until(lambda: h.parts.targets.names())
        url = f"{h.service.url}/v1/chat/completions"
        asking = asyncio.create_task(relay.json("POST", url, key=h.service.token, payload={"messages": []}))
        await until(lambda: h.parts.targets.waiting("active-llm") == 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
    status, answer = await asking
    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert loop.time() - began < 5
    await relay.aclose()
