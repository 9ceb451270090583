"""When a model server counts as ready, by the probes of its runtime."""

import asyncio
from types import SimpleNamespace
from typing import Any

from model_manager.relay import Relay
from model_manager.serving.local.health import Health
from model_manager.serving.runtime import Probe


async def test_readiness_is_lost_after_as_many_failures_as_the_probe_says_and_found_again_at_once() -> None:
    answers = [False, False, True, False, False, False, False, True]
    told: list[bool] = []
    done = asyncio.Event()

    class Scripted(Health):
        async def _passes(self, probe: Probe) -> bool:
            if answers:
                return answers.pop(0)
            done.set()
            return await asyncio.Future()

    probes: Any = SimpleNamespace(readiness=Probe(period=0, failure_threshold=3), startup=None, liveness=None)
    keeping = asyncio.create_task(Scripted(Relay(), probes, 0, "", told.append)._keep_ready())
    await asyncio.wait_for(done.wait(), 5)
    keeping.cancel()
    assert told == [True, False, True]
