"""How much of its clients' bodies the gateway holds at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive

from model_manager.errors import Unavailable

SIZE = 512 * 1024 * 1024
"""Bytes: sixteen of the largest bodies. One client's connections could bring a thousand, which fill a machine."""


class Room:
    """One for all paths, on one event loop. `size` in bytes; a body counts as it comes, until its request is over."""

    def __init__(self, size: int = SIZE) -> None:
        self._left = size

    @contextmanager
    def counting(self, receive: Receive) -> Iterator[Receive]:
        """A `receive` that raises Unavailable when there is no room for what came."""
        held = 0

        async def counted() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            if size > self._left:
                raise Unavailable(
                    "The bodies of other requests fill the room that there is for them.",
                    "Ask again in a moment.",
                    retry_after=1,
                )
            self._left -= size
            held += size
            return message

        try:
            yield counted
        finally:
            self._left += held
