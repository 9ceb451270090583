"""B4 and B11 on a whole service: what it does when what it needs is away, and what it refuses to start with."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_manager.errors import SettingsError, StateError
from tests.house import house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.waiting import until, until_sync


def prepare(folder: Path) -> None:
    write_runtimes(folder / "runtimes", [runtime("well")])
    write_catalog(folder / "catalog", {"a": "well"})


def serve(folder: Path, *flags: str, shell: str = "", **environ: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable, "-m", "model_manager", "serve", f"--state-path={folder / 'state'}",
        f"--catalog-root={folder / 'catalog'}", f"--runtimes-path={folder / 'runtimes'}", "--disk-reserve=0", *flags,
    ]  # fmt: skip
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    environment = {"HOME": str(folder), "PATH": os.defpath, **environ}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out + err


async def test_c8_with_every_dependency_down_it_answers_and_says_what_is_missing(tmp_path: Path) -> None:
    settings = house_settings(
        tmp_path,
        catalog_url=f"file://{tmp_path}/nowhere.git",
        catalog_root=None,
        hub_endpoint="http://127.0.0.1:9",
    )
    from model_manager import app
    from model_manager.relay import Relay

    async with app.running(settings) as service:
        relay = Relay()

        async def info() -> Any:
            return (await relay.json("GET", f"{service.url}/system/info", key=service.token))[1]

        async def told() -> bool:
            return bool((await info())["catalog"]["error"])

        await until(told)
        assert "nowhere" in (await info())["catalog"]["error"]
        assert await relay.json("GET", f"{service.url}/readyz") == (200, {"status": "ready", "reasons": []})
        assert (await relay.json("GET", f"{service.url}/models"))[1] == []
        payload = {"hfModelId": "owner/model"}
        _, queued = await relay.json(
            "POST", f"{service.url}/weights/install", key=service.token, payload=payload
        )
        job = await service.parts.jobs.wait(queued["job"]["id"], 30)
        assert job.error is not None
        assert "127.0.0.1:9" in job.error["sentence"]
        await relay.aclose()


async def test_c8_the_last_catalog_is_served_while_git_is_away(tmp_path: Path) -> None:
    prepare(tmp_path)
    async with open_house(house_settings(tmp_path)) as h:
        assert [model["id"] for model in (await h.call("GET", "/models"))[1]] == ["a"]
    (tmp_path / "catalog").rename(tmp_path / "away")
    async with open_house(house_settings(tmp_path)) as h:
        assert [model["id"] for model in (await h.call("GET", "/models"))[1]] == ["a"]
        assert (await h.call("GET", "/system/info"))[1]["catalog"]["staleSince"]


async def test_c2_a_handler_out_of_memory_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    async with open_house(house_settings(tmp_path)) as h:

        async def out_of_memory(**_: object) -> list[object]:
            raise MemoryError

        monkeypatch.setattr(h.parts.jobs, "list", out_of_memory)
        status, problem = await h.call("GET", "/jobs")
        assert status == 500
        assert "Traceback" not in json.dumps(problem)
        assert (await h.call("GET", "/models"))[0] == 200


def test_c9_without_free_descriptors_it_recovers(tmp_path: Path) -> None:
    """Many idle connections with few descriptors: when they are gone, it answers again."""
    prepare(tmp_path)
    port = _free_port()
    process = serve(tmp_path, f"--server-port={port}", shell="ulimit -n 64")
    try:
        until_sync(lambda: _answers(port), 20)
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        until_sync(lambda: len(list(Path(f"/proc/{process.pid}/fd").iterdir())) >= 60)
        for connection in idle:
            connection.close()
        until_sync(lambda: _answers(port), 20)
    finally:
        process.terminate()
        code, said = ended(process)
    assert code == 0, said


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_u1_beyond_loopback_it_wants_a_token(tmp_path: Path, host: str) -> None:
    prepare(tmp_path)
    code, said = ended(serve(tmp_path, f"--host={host}", "--server-port=0"))
    assert code == 78
    assert "No API token is set" in said
    assert "MODEL_MANAGER_API_TOKEN_FILE" in said
    assert "Traceback" not in said


async def test_u1_on_loopback_it_makes_a_token_that_only_its_user_can_read(tmp_path: Path) -> None:
    prepare(tmp_path)
    async with open_house(house_settings(tmp_path)) as h:
        file = tmp_path / "state/token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() == h.service.token
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        token = h.service.token
    async with open_house(house_settings(tmp_path)) as h:
        assert h.service.token == token


async def test_a_second_service_on_one_state_folder_names_the_first(tmp_path: Path) -> None:
    """S9"""
    prepare(tmp_path)
    async with open_house(house_settings(tmp_path)):
        with pytest.raises(StateError, match=str(os.getpid())):
            async with open_house(house_settings(tmp_path)):
                pass


async def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    prepare(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: Address already in use"):
            async with open_house(house_settings(tmp_path, server_port=port)):
                pass


def test_the_kserve_platform_is_refused_where_no_cluster_is_configured(tmp_path: Path) -> None:
    prepare(tmp_path)
    code, said = ended(
        serve(tmp_path, "--platform=kserve", "--server-port=0", MODEL_MANAGER_API_TOKEN="secret-token")
    )
    assert code == 78
    assert "MODEL_MANAGER_KUBECONFIG" in said
    assert "secret-token" not in said


def test_p10_model_servers_see_no_token_of_ours(tmp_path: Path) -> None:
    prepare(tmp_path)
    port = _free_port()
    secrets = {"MODEL_MANAGER_API_TOKEN": "planted-api-token", "HF_TOKEN": "planted-hub-token"}
    process = serve(tmp_path, f"--server-port={port}", **secrets)
    try:
        until_sync(lambda: _answers(port), 20)
        body = json.dumps({"id": "a"}).encode()
        request = (
            b"POST /models/activate?wait=20 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer planted-api-token\r\n"
            b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        assert _until_active(port, request).startswith(b"HTTP/1.1 200")
        children = _below(process.pid)
        assert children
        for pid in children:
            assert b"planted" not in Path(f"/proc/{pid}/environ").read_bytes()
            assert b"planted" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        _, said = ended(process)
    assert "planted" not in said
    for file in (path for path in (tmp_path / "state").rglob("*") if path.is_file()):
        assert b"planted" not in file.read_bytes(), file


def _until_active(port: int, request: bytes) -> bytes:
    """The catalog may still be on its way at the first try."""
    answer = b""

    def accepted() -> bool:
        nonlocal answer
        answer = _exchange(port, request)
        return not answer.startswith(b"HTTP/1.1 503")

    until_sync(accepted, 20)
    return answer


def _below(pid: int) -> list[int]:
    """All processes that descend from this one."""
    parents = {}
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat_file.parent.name)] = int(stat_file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [child for child, parent in parents.items() if parent == pid]
    return found + [below for child in found for below in _below(child)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        parts = []
        while data := connection.recv(65536):
            parts.append(data)
    return b"".join(parts)


def _answers(port: int) -> bool:
    try:
        return b" 200 " in _exchange(
            port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
    except OSError:
        return False


async def test_c4_it_stops_while_an_event_stream_is_open(tmp_path: Path) -> None:
    """A client that follows events does not keep the service from stopping."""
    prepare(tmp_path)
    async with open_house(house_settings(tmp_path)) as h:
        host, port = h.service.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
        assert b"200" in await reader.readline()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5
    writer.close()
