"""C1: `kill -9` of the whole service at any moment of an install or a switch leaves nothing wrong.

The service runs as a user runs it, as a process of its own; its model servers are real processes too.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from model_manager.relay import Relay
from tests.house import runtime, write_catalog, write_runtimes
from tests.waiting import until

MOMENTS = 6
WEIGHTS_BYTES = 24 << 20


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    behaviours = {
        "well": ("late:0.2",), "never-ready": ("never_ready",), "slow-to-stop": ("slow_term:0.8",),
        "slow-to-load": ("late:1.0",), "slow-to-answer": ("slow_tokens:1.0",),
    }  # fmt: skip
    write_runtimes(tmp_path / "runtimes", [runtime(name, *words) for name, words in behaviours.items()])
    models = {"a": "well", "b": "well", "bad": "never-ready"}
    write_catalog(
        tmp_path / "catalog", models | {name: name for name in behaviours if name.startswith("slow")}
    )
    for name in ("a", "b"):
        (tmp_path / "catalog/weights" / name / "big.bin").write_bytes(
            random.Random(name).randbytes(WEIGHTS_BYTES)
        )
    return tmp_path


@contextmanager
def service(ground: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable, "-m", "model_manager", "serve", "--server-port=0", f"--state-path={ground / 'state'}",
        f"--catalog-root={ground / 'catalog'}", f"--runtimes-path={ground / 'runtimes'}", "--disk-reserve=0",
        "--stop-timeout=1s", "--reconcile-interval=1s", "--activation-timeout=20s", "--log-format=text",
        *flags,
    ]  # fmt: skip
    environment = {"HOME": str(ground), "PATH": os.defpath}
    with (ground / "service.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


class Caller:
    """Talks to whatever service runs on the state folder now."""

    def __init__(self, ground: Path, relay: Relay) -> None:
        self._state, self._log, self._relay = ground / "state", ground / "service.log", relay

    async def up(self, process: subprocess.Popen[bytes]) -> None:
        async def answers() -> bool:
            assert process.poll() is None, f"the service did not start: {self._log.read_text()[-2000:]}"
            try:
                found = json.loads((self._state / "service.json").read_text())
                return (
                    found["pid"] == process.pid
                    and (await self.ask("GET", "/system/info"))["catalog"]["ready"]
                )
            except Exception:
                return False

        await until(answers, 20)

    async def ask(self, method: str, path: str, payload: Any = None) -> Any:
        url = json.loads((self._state / "service.json").read_text())["url"]
        token = (self._state / "token").read_text().strip()
        status, body = await self._relay.json(method, url + path, key=token, payload=payload, timeout=30)
        assert status < 400, body
        return body

    async def slot(self) -> dict[str, Any]:
        slot: dict[str, Any] = await self.ask("GET", "/slots/active-llm")
        return slot

    async def serves(self, model: str) -> bool:
        return (await self.slot())["serving"] == model

    async def is_active(self, model: str) -> bool:
        desired = (await self.slot())["desired"]
        return bool(desired["modelId"] == model and desired["result"] == "active")

    async def reaches(self, model: str) -> None:
        try:
            await until(lambda: self.serves(model), 20)
        except AssertionError:
            raise AssertionError(f"{model} is not served; the slot says {await self.slot()}") from None

    async def settled(self) -> bool:
        return (await self.slot())["state"] in ("active", "failed", "empty")

    async def is_idle(self) -> bool:
        """Settled, and no job under way: weights may serve before the job that installed them has ended."""
        jobs = (await self.ask("GET", "/jobs"))["jobs"]
        return await self.settled() and not any(job["status"] in ("pending", "running") for job in jobs)


@asynccontextmanager
async def caller(ground: Path) -> AsyncIterator[Caller]:
    relay = Relay()
    yield Caller(ground, relay)
    await relay.aclose()


def model_servers(ground: Path) -> list[int]:
    """Pids of scripted servers that were started for this test (its folder is in their environment or command)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if (
                b"model_server.py" in command
                and str(ground).encode() in command + (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def complete(ground: Path, name: str) -> bool:
    """Whether installed weights are exactly the source's, when there are any under their final name."""
    folder = ground / "state/weights" / name
    if not folder.exists():
        return True
    manifest = json.loads((folder / ".weights.json").read_text())
    source = ground / "catalog/weights" / name
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in source.iterdir()}
    installed = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.bin")}
    return installed == hashes == {file["path"]: file["sha256"] for file in manifest["files"]}


@pytest.mark.timeout(240)
async def test_c1_kills_at_random_moments_of_an_install_and_a_switch(ground: Path) -> None:
    """Each time the next start reaches what was asked for, with one process, and weights are absent or complete."""
    chance = random.Random()
    asked: str | None = None
    async with caller(ground) as call:
        for wanted in (*("a", "b") * (MOMENTS // 2), None):
            with service(ground) as process:
                await call.up(process)
                if asked is not None:
                    await call.reaches(asked)
                    assert len(model_servers(ground)) == 1
                if asked == "b":  # so that installs are killed too, not only switches
                    await call.ask("POST", "/models/deactivate")
                    await until(call.is_idle)
                    await call.ask("DELETE", "/weights/a")
                    await call.ask("DELETE", "/weights/b")
                if wanted is None:
                    break
                moment = chance.uniform(0.0, 0.9)
                await call.ask("POST", "/models/activate", {"id": wanted})
                await asyncio.sleep(moment)  # the moment is what is tested, nothing is waited for
                process.send_signal(signal.SIGKILL)
                process.wait()
                await until(lambda: not model_servers(ground), 5)
            for name in ("a", "b"):
                assert complete(ground, name), f"half-visible weights after a kill at {moment:.3f} s"
            asked = wanted


async def test_c1_a_kill_while_the_new_model_starts_keeps_the_wish(ground: Path) -> None:
    async with caller(ground) as call:
        with service(ground) as process:
            await call.up(process)
            await call.ask("POST", "/models/activate?wait=20", {"id": "a"})
            await call.ask("POST", "/models/activate", {"id": "bad"})

            async def starting() -> bool:
                return (await call.slot())["state"] == "starting"

            await until(starting)
            process.send_signal(signal.SIGKILL)
            process.wait()
        await until(lambda: not model_servers(ground), 5)
        with service(ground) as process:
            await call.up(process)
            slot = await call.slot()
            assert slot["desired"]["modelId"] == "bad"
            attempt = slot["desired"]["id"]
            await call.ask("POST", f"/activations/{attempt}/cancel")
            await until(lambda: call.serves("a"), 20)


@pytest.mark.parametrize(
    ("old", "new", "phase"),
    [
        ("slow-to-stop", "a", "stopping"),
        ("a", "slow-to-load", "starting"),
        ("a", "slow-to-answer", "verifying"),
        ("a", "b", "active"),
    ],
)
async def test_c1_a_kill_in_each_phase_ends_at_what_was_asked_for(
    ground: Path, old: str, new: str, phase: str
) -> None:
    """Within 10 s plus the engine's own load; with one process; with the activation's history told to its end."""
    async with caller(ground) as call:
        with service(ground) as process:
            await call.up(process)
            await call.ask("POST", "/models/activate?wait=20", {"id": old})
            await call.ask("POST", "/models/activate", {"id": new})

            async def reached() -> bool:
                slot = await call.slot()
                return bool(slot["desired"]["modelId"] == new and slot["desired"]["phase"] == phase)

            await until(reached)
            process.send_signal(signal.SIGKILL)
            process.wait()
        await until(lambda: not model_servers(ground), 5)
        with service(ground) as process:
            await call.up(process)
            await until(lambda: call.serves(new), 10 + 1)
            assert len(model_servers(ground)) == 1
            await until(lambda: call.is_active(new))


async def test_c4_term_ends_the_service_and_its_model_server_with_exit_code_0(ground: Path) -> None:
    async with caller(ground) as call:
        with service(ground) as process:
            await call.up(process)
            await call.ask("POST", "/models/activate?wait=20", {"id": "a"})
            process.terminate()
            assert await asyncio.to_thread(process.wait, 25) == 0
            assert model_servers(ground) == []
            assert not (ground / "state/service.json").exists()
