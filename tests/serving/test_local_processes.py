"""What model servers do to the local platform, row by row: floods, grandchildren, strangers, deaf ears."""

import asyncio
import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from model_manager.relay import Relay
from model_manager.serving.local import procfs
from model_manager.serving.local.owner import Supervision
from model_manager.serving.local.platform import LocalPlatform
from model_manager.serving.platform import Instance
from tests.serving import ground
from tests.serving.ground import SLOT, local_platform, manifest
from tests.waiting import until


def gone(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is None or found.state in "ZX"


async def ask(relay: Relay, instance: Instance, path: str, **body: Any) -> Any:
    assert instance.url
    method = "POST" if body else "GET"
    _status, answer = await relay.json(
        method, instance.url + path, key=instance.key, payload=body or None, timeout=5
    )
    return answer


async def started(platform: LocalPlatform, activation: str = "first") -> Instance:
    await platform.apply(manifest("it", activation=activation))
    return await ground.ready(platform)


def it(*behaviours: str, **container: Any) -> dict[str, Any]:
    return {"it": ground.runtime("it", *behaviours, **container)}


@pytest.fixture
async def relay() -> Any:
    relay = Relay()
    yield relay
    await relay.aclose()


@pytest.mark.parametrize("behaviour", ["fork_grandchild", "escape_grandchild"])
async def test_p2_a_grandchild_that_holds_the_output_delays_nothing(
    tmp_path: Path, relay: Relay, behaviour: str
) -> None:
    async with local_platform(tmp_path, it(behaviour, "ignore_term")) as platform:
        instance = await started(platform)
        grandchild = (await ask(relay, instance, "/stats"))["grandchild"]
        assert not gone(grandchild)
        await platform.delete(SLOT)
        await ground.empty(platform)
        assert gone(grandchild)


async def test_p2_a_leader_that_ends_takes_its_grandchild_along(tmp_path: Path, relay: Relay) -> None:
    async with local_platform(tmp_path, it("fork_grandchild")) as platform:
        instance = await started(platform)
        grandchild = (await ask(relay, instance, "/stats"))["grandchild"]
        with pytest.raises(Exception, match=r"\w"):
            await ask(relay, instance, "/exit/7", now=True)
        again = await ground.instance_when(platform, lambda one: one.restarts == 1 and one.ready)
        assert gone(grandchild), "the next one starts when all of the last one is gone"
        assert (again.exit_code, again.reason) == (7, "The model server ended with exit code 7.")


async def test_p4_it_has_a_group_and_session_of_its_own(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", "import time; time.sleep(60)"
    )
    try:
        async with local_platform(tmp_path, it()) as platform:
            instance = await started(platform)
            assert instance.pid
            assert os.getpgid(instance.pid) == os.getsid(instance.pid) == instance.pid
        assert gone(instance.pid)
        assert not gone(bystander.pid)
    finally:
        bystander.kill()
        await bystander.wait()


async def test_p5_one_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    quick = Supervision(stop_grace=0.2)
    async with local_platform(tmp_path, it("ignore_term"), supervision=quick) as platform:
        instance = await started(platform)
        assert instance.url
        begun = time.monotonic()
        await platform.delete(SLOT)
        await ground.empty(platform)
        assert 0.2 <= time.monotonic() - begun < 5
        with socket.socket() as probe:  # its port is free again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(instance.url.rpartition(":")[2])))


async def test_p6_a_stranger_on_the_port_is_never_taken_for_the_model(tmp_path: Path) -> None:
    stranger = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", str(ground.SERVER)), env={}, stderr=subprocess.PIPE
    )
    assert stranger.stderr
    port = int((await stranger.stderr.readline()).rpartition(b":")[2])
    try:
        async with local_platform(tmp_path, it("bind_late:60"), free_port=lambda: port) as platform:
            ready = []

            async def look() -> bool:
                ready.extend(one.ready for one in (await platform.observe(SLOT)).instances)
                return any(one.gave_up for one in (await platform.observe(SLOT)).instances)

            await platform.apply(manifest("it"))
            await until(look)
            assert not any(ready)
            assert f"Another program answers on port {port}" in (
                (await platform.observe(SLOT)).instances[0].reason
            )
    finally:
        stranger.kill()
        await stranger.wait()


def test_p7_the_wait_between_crashes_doubles_up_to_a_minute() -> None:
    waits = [Supervision().backoff(crashes) for crashes in range(1, 10)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_p7_ends_by_a_signal_are_named(tmp_path: Path) -> None:
    async with local_platform(tmp_path, it("signal:9")) as platform:
        await platform.apply(manifest("it"))
        instance = await ground.instance_when(platform, lambda one: one.gave_up)
        assert instance.exit_code == -9
        assert instance.reason == (
            "The model server was ended by SIGKILL. It was started 3 times, each time in vain."
        )


async def test_p7_one_crash_is_repaired(tmp_path: Path) -> None:
    async with local_platform(tmp_path, it(f"crash_once:{tmp_path / 'crashed'}")) as platform:
        instance = await started(platform)
        assert (instance.restarts, instance.exit_code, instance.gave_up) == (1, 1, False)
        assert instance.log_tail[0] == "crashing once", "the lines of the crash are still there"


async def test_p7_a_stable_time_starts_a_new_row_of_crashes(tmp_path: Path, relay: Relay) -> None:
    keep = Supervision(stop_grace=1, first_backoff=0.01, max_crashes=2, stable_after=0)
    async with local_platform(tmp_path, it(), supervision=keep) as platform:
        await platform.apply(manifest("it"))
        for number in range(4):
            instance = await ground.instance_when(
                platform, lambda one, n=number: one.ready and one.restarts == n
            )
            with pytest.raises(Exception, match=r"\w"):
                await ask(relay, instance, "/exit/1", now=True)


@pytest.mark.parametrize("behaviour", ["flood_log", "flood_binary"])
async def test_p8_a_flood_blocks_neither_the_loop_nor_the_child(
    tmp_path: Path, relay: Relay, behaviour: str
) -> None:
    async with local_platform(tmp_path, it(behaviour, "print_key")) as platform:
        instance = await started(platform)
        longest, end = 0.0, time.monotonic() + 0.5
        while time.monotonic() < end:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)
        assert longest < 0.5
        assert (await ask(relay, instance, "/v1/models"))["data"][0]["id"] == "scripted"
        lines = await platform.logs(SLOT, 1_000_000)
        assert 0 < len(lines) <= 2000
        assert max(map(len, lines)) <= 2000
        assert not any("\x1b" in line or "\0" in line for line in lines)


async def test_p8_the_key_of_a_start_stays_out_of_its_log(tmp_path: Path) -> None:
    async with local_platform(tmp_path, it("print_key")) as platform:
        instance = await started(platform)
        assert instance.key
        await until(lambda: "my key is ***" in platform_log(tmp_path))
        assert "my key is ***" in await platform.logs(SLOT, 10)
        assert instance.key not in platform_log(tmp_path)
        assert instance.pid
        assert instance.key.encode() not in Path(f"/proc/{instance.pid}/cmdline").read_bytes()


def platform_log(root: Path) -> str:
    path = root / "state/logs" / f"{SLOT}.log"
    return path.read_text() if path.exists() else ""


async def test_p9_as_process_1_it_leaves_no_zombies(tmp_path: Path, relay: Relay) -> None:
    subreaper = 36  # PR_SET_CHILD_SUBREAPER: orphans below become ours, as all do for process 1
    prctl = ctypes.CDLL(None).prctl
    prctl(subreaper, 1, 0, 0, 0)
    try:
        async with local_platform(tmp_path, it("fork_grandchild")) as platform:
            instance = await started(platform)
            grandchild = (await ask(relay, instance, "/stats"))["grandchild"]
            await platform.delete(SLOT)
            await ground.empty(platform)
        assert procfs.stat(grandchild) is None
        assert instance.pid is not None
        assert procfs.stat(instance.pid) is None
    finally:
        prctl(subreaper, 0, 0, 0, 0)


async def test_p10_neither_environment_nor_files_are_inherited(tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nowhere",
        "MODEL_MANAGER_API_TOKEN": "canary-token",
        "HF_TOKEN": "canary-hub",
        "HTTPS_PROXY": "http://user:canary-proxy@proxy",
    }
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        async with local_platform(tmp_path, it(), environment=environment) as platform:
            instance = await started(platform)
            folder = Path(f"/proc/{instance.pid}")
            variables = dict(
                entry.split("=", 1) for entry in (folder / "environ").read_text().split("\0") if entry
            )
            files = {int(link.name): str(link.readlink()) for link in (folder / "fd").iterdir()}
    finally:
        os.close(reader)
        os.close(writer)
    assert set(variables) == {
        "PATH", "HOME", "ENGINE_API_KEY", "MODEL_SERVER_MARK", "INFERENCE_SERVICE_NAME", "LC_CTYPE",
    } - ({"LC_CTYPE"} - set(variables))  # fmt: skip
    assert variables["ENGINE_API_KEY"] == instance.key
    assert "canary" not in " ".join(variables.values())
    assert files[0] == "/dev/null"
    assert files[1] == files[2]
    assert {kind.partition(":")[0] for number, kind in files.items() if number > 2} <= {"socket"}


async def test_every_start_has_another_key(tmp_path: Path, relay: Relay) -> None:
    async with local_platform(tmp_path, it()) as platform:
        first = await started(platform)
        await platform.apply(manifest("it", activation="second"))
        second = await ground.instance_when(platform, lambda one: one.activation == "second" and one.ready)
        assert first.key != second.key
        status, _ = await relay.json("GET", f"{second.url}/v1/models", key=first.key)
        assert status == 401


async def test_one_that_stops_answering_is_started_again(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 1}
    hangs = it("health_stops:1", livenessProbe={**probe, "failureThreshold": 1})
    async with local_platform(tmp_path, hangs) as platform:
        await started(platform)
        instance = await ground.instance_when(platform, lambda one: one.restarts == 1)
        assert instance.reason == "It stopped answering /health (1 probes failed)."


async def test_one_that_takes_longer_than_its_startup_probe_is_ended(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    async with local_platform(tmp_path, it("never_ready", startupProbe=probe)) as platform:
        await platform.apply(manifest("it"))
        instance = await ground.instance_when(platform, lambda one: one.restarts == 1)
        assert instance.reason == "It did not become healthy within 1 s."


async def test_without_an_http_probe_a_connection_is_enough(tmp_path: Path) -> None:
    async with local_platform(tmp_path, it("never_ready", readinessProbe=None)) as platform:
        assert (await started(platform)).ready


async def test_a_closed_platform_has_left_nothing(tmp_path: Path) -> None:
    async with local_platform(tmp_path, it()) as platform:
        instance = await started(platform)
        record = tmp_path / "state/run" / f"{SLOT}.json"
        mark = msgspec.json.decode(record.read_bytes())["mark"]
        assert [one.pid for one in procfs.belonging(-1, mark)] == [instance.pid]
    assert procfs.belonging(-1, mark) == []
    assert not record.exists()
