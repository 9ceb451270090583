"""One probe of one container, as the kubelet asks: HTTP, TCP or a command."""

import asyncio
from typing import Any


async def probe(wanted: dict[str, Any], container: dict[str, Any], ip: str) -> str:
    """What is wrong, in the kubelet's words; empty: nothing."""
    try:
        async with asyncio.timeout(wanted.get("timeoutSeconds", 1)):
            if "exec" in wanted:
                return await _command(wanted["exec"]["command"])
            return await _connection(wanted, container, ip)
    except TimeoutError:
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    except (OSError, IndexError, ValueError) as error:
        return f"dial tcp {ip}: {error}"


async def _connection(wanted: dict[str, Any], container: dict[str, Any], ip: str) -> str:
    target = wanted.get("httpGet") or wanted["tcpSocket"]
    host = target.get("host") or ip
    reader, writer = await asyncio.open_connection(host, _port(target["port"], container))
    try:
        if "httpGet" not in wanted:
            return ""
        headers = [f"{one['name']}: {one['value']}\r\n" for one in target.get("httpHeaders", [])]
        head = f"GET {target.get('path', '/')} HTTP/1.0\r\nHost: {host}\r\n{''.join(headers)}\r\n"
        writer.write(head.encode())
        status = int((await reader.readline()).split()[1])
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
    finally:
        writer.close()


async def _command(command: list[str]) -> str:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        return f"command {command} ended with code {code}" if (code := await process.wait()) else ""
    finally:
        if process.returncode is None:
            process.kill()


def _port(port: int | str, container: dict[str, Any]) -> int:
    if isinstance(port, int):
        return port
    return next(int(one["containerPort"]) for one in container["ports"] if one.get("name") == port)
