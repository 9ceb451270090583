"""Who is told what when a client leaves and when somebody else cancels."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from model_manager.gateway.presence import ClientPresence


class Client:
    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def wait_for_ever(client: Client, entered: asyncio.Event) -> None:
    async with ClientPresence(client.receive):
        entered.set()
        await asyncio.Event().wait()


async def test_a_client_that_leaves_interrupts_and_leaves_no_cancelling_behind() -> None:
    client = Client()
    asyncio.get_running_loop().call_soon(client.gone.set)
    with pytest.raises(ClientDisconnect):
        await wait_for_ever(client, asyncio.Event())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0  # or a timeout around the request would mistake it for its own


@pytest.mark.parametrize("leaves", [False, True])
async def test_cancelling_from_outside_stays_cancelling_also_when_the_client_leaves_too(leaves: bool) -> None:
    class Both(Client):
        async def receive(self) -> dict[str, Any]:
            message = await super().receive()
            task.cancel()  # in the same turn as the client leaves
            return message

    client, entered = Both() if leaves else Client(), asyncio.Event()
    task = asyncio.create_task(wait_for_ever(client, entered))
    await entered.wait()
    if leaves:
        client.gone.set()
    else:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nobody_is_interrupted_after_the_end() -> None:
    client = Client()
    async with ClientPresence(client.receive) as presence:
        presence.stop()
        client.gone.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
