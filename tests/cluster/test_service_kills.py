"""The service is killed (`kill -9`) in each phase of an activation, and its next start goes on from there."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from subprocess import Popen

import pytest
from testcluster import Namespace

from tests.cluster.ground import activation_of, chat, is_ready, pod_when
from tests.cluster.house import prepare, settings_of, uids
from tests.test_kills import caller, service

BEHAVIOURS = {"well": (), "slow-to-answer": ("slow_tokens:1.5",)}
MODELS = {"old": "well", "new": "well", "slow-to-answer": "slow-to-answer"}

PHASES = {
    "queued": ("new", ""),
    "installing": ("new", ""),
    "stopping": ("new", "slow-termination:2"),
    "starting": ("new", "slow-start:2"),
    "verifying": ("slow-to-answer", ""),
    "active": ("new", ""),
}
"""What is activated, and what is ordered of the pods, so that the phase lasts."""

Service = Callable[[], AbstractContextManager["Popen[bytes]"]]


@pytest.fixture
async def started(namespace: Namespace, tmp_path: Path) -> Service:
    """Starts the service as a process of its own, on the same folder each time."""
    await prepare(namespace, tmp_path, MODELS, BEHAVIOURS)
    settings = {"host": "127.0.0.1", **settings_of(namespace, tmp_path)}
    flags = (f"--{name.replace('_', '-')}={value}" for name, value in settings.items())
    return partial(service, tmp_path, *flags)


@pytest.mark.parametrize("phase", PHASES)
async def test_a_kill_in_each_phase_touches_no_pod_and_the_next_start_finishes_the_activation(
    namespace: Namespace, started: Service, tmp_path: Path, phase: str
) -> None:
    model, failure = PHASES[phase]
    async with caller(tmp_path) as call:
        with started() as process:
            await call.up(process)
            await call.ask("POST", "/models/activate?wait=30", {"id": "old"})
            (old,) = await namespace.pods()
            if failure:
                namespace.fail(failure)
            asked = (await call.ask("POST", "/models/activate", {"id": model}))["activation"]

            async def reached() -> bool:
                desired = (await call.slot())["desired"]
                return bool(desired["id"] == asked["id"] and desired["phase"] == phase)

            if phase != "queued":  # that one is over before it could be asked for
                await namespace.wait(reached)
            process.kill()
            process.wait()
        if phase in ("queued", "installing"):
            assert await chat(old), "the old model serves without the service"
        elif phase != "stopping":
            await pod_when(namespace, lambda pod: activation_of(pod) == asked["id"])
        before = await uids(namespace, asked["id"])
        with started() as process:
            await call.up(process)
            await namespace.wait(lambda: call.is_active(model), 40)
            await namespace.wait(lambda: call.serves(model))
            assert (await call.slot())["desired"]["id"] == asked["id"]
            (pod,) = await namespace.pods()
            assert not before or [pod["metadata"]["uid"]] == before
            assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
            assert is_ready(pod)
            ask = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
            answer = await call.ask("POST", "/v1/chat/completions", {"model": model, **ask})
            assert answer["model"] == model
