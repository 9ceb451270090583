"""`model-manager serve` on a cluster, as processes whose port is known before they work: several for one state."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

TOKEN = "a-token-of-the-test"


@dataclass
class Service:
    """One process, asked with the administrator's token."""

    process: asyncio.subprocess.Process
    port: int

    async def get(self, path: str) -> httpx2.Response:
        return await self.ask("GET", path)

    async def post(self, path: str, payload: Any) -> Any:
        return (await self.ask("POST", path, payload)).raise_for_status().json()

    async def ask(self, method: str, path: str, payload: Any = None) -> httpx2.Response:
        url, headers = f"http://127.0.0.1:{self.port}{path}", {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            return await http.request(method, url, headers=headers, json=payload)

    async def answers(self, path: str, status: int) -> bool:
        try:
            return (await self.get(path)).status_code == status
        except httpx2.TransportError:
            return False

    async def works(self) -> bool:
        return await self.answers("/system/info", 200)

    async def ends(self) -> int:
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 40)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def service(folder: Path, name: str, settings: Mapping[str, Any]) -> AsyncIterator[Service]:
    """Its log is `<name>.log` in `folder`, where `settings` do not say otherwise all else is too."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {
        "platform": "kserve", "host": "127.0.0.1", "server_port": port, "kubeconfig": folder / "kubeconfig",
        "state_path": folder / "state", "weights_path": folder / "weights", "catalog_root": folder / "catalog",
        "disk_reserve": 0, "log_format": "text", **settings,
    }  # fmt: skip
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in values.items()]
    environment = {"HOME": str(folder), "PATH": os.defpath, "MODEL_MANAGER_API_TOKEN": TOKEN}
    with (folder / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "model_manager", "serve", *flags, env=environment, stdout=log, stderr=log
        )
    made = Service(process, port)
    try:
        yield made
    finally:
        if process.returncode is None:
            await made.kill()


class Silent:
    """A server that takes connections and never answers. `asked`: how many came."""

    def __init__(self) -> None:
        self.url = ""
        self._connections: list[asyncio.StreamWriter] = []

    @property
    def asked(self) -> int:
        return len(self._connections)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(writer)

    def close(self) -> None:
        for writer in self._connections:
            writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    made = Silent()
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
        made.close()
