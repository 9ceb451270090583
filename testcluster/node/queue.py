"""Knative's queue-proxy, as far as a pod needs it to become ready: its probe asks the container that serves.

Knative moves a container's readiness probe into `SERVING_READINESS_PROBE` of its proxy, and the kubelet asks only the
proxy, with the header `K-Network-Probe: queue`. Whatever else comes is handed through to the container.
"""

import asyncio
import json
import os

from testcluster.node.probe import probe

PORT, USER_PORT = int(os.environ["QUEUE_SERVING_PORT"]), int(os.environ["USER_PORT"])
ADDRESS = os.environ["SERVING_POD_IP"]
WANTED = json.loads(os.environ["SERVING_READINESS_PROBE"])
for action in WANTED.values():
    if isinstance(action, dict):
        action.pop("host", None)  # 127.0.0.1: in a real pod both containers share one network


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: the kubelet's probe, or a request for the container."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"k-network-probe: queue" in head.lower():
            wrong = await probe(WANTED, {}, ADDRESS)
            writer.write(
                b"HTTP/1.0 503 \r\n\r\n" + wrong.encode() if wrong else b"HTTP/1.0 200 \r\n\r\nqueue"
            )
        else:
            await _hand_through(head, reader, writer)
    except (OSError, asyncio.IncompleteReadError):
        pass  # either side hung up
    finally:
        writer.close()


async def _hand_through(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers, asks = await asyncio.open_connection(ADDRESS, USER_PORT)
    try:
        asks.write(head)
        await asyncio.gather(_copy(reader, asks), _copy(answers, writer))
    finally:
        asks.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.write_eof()


async def main() -> None:
    async with await asyncio.start_server(talk, ADDRESS, PORT) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
