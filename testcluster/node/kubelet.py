"""The kubelet's port: what the API server asks for when somebody wants a pod's log."""

import asyncio
import ssl
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from testcluster.node.pod import PodRun

Find = Callable[[str, str], PodRun | None]
"""By namespace and name."""


async def serve(find: Find, port: int, certificate: Path, key: Path) -> asyncio.Server:
    """GET /containerLogs/NAMESPACE/POD/CONTAINER?tailLines=&limitBytes=&previous=&follow="""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await reader.readline()).decode().split()[1]
            while (await reader.readline()).strip():
                pass
            await _answer(find, urllib.parse.urlsplit(target), writer)
            await writer.drain()
        except (OSError, IndexError, ValueError):
            pass  # whoever asked has left, or asked for something else
        finally:
            writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", port, ssl=tls)


async def _answer(find: Find, url: urllib.parse.SplitResult, writer: asyncio.StreamWriter) -> None:
    query = dict(urllib.parse.parse_qsl(url.query))
    words = url.path.strip("/").split("/")
    pod = find(words[1], words[2]) if words[0] == "containerLogs" and len(words) == 4 else None
    container = pod.container(words[3]) if pod else None
    if pod is None or container is None:
        return _refuse(writer, 404, f"no such container: {url.path}")
    restart = container.status["restartCount"] - (query.get("previous") == "true")
    log = container.log_of(restart)
    if not log.exists():
        word = "previous terminated container" if query.get("previous") == "true" else "container"
        return _refuse(writer, 400, f'{word} "{words[3]}" in pod "{words[2]}" not found')
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
    with log.open("rb") as file:
        lines = file.readlines()
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"]) :] if int(query["tailLines"]) else []
        data = b"".join(lines)
        writer.write(data[: int(query.get("limitBytes", len(data)))])
        while query.get("follow") == "true" and not pod.gone and not writer.is_closing():
            writer.write(file.read())
            await writer.drain()
            await asyncio.sleep(0.1)
    return None


def _refuse(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n{text}".encode())
