"""Reading server-sent events, line by line as they come."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One event of a stream: its name (`message` when it has none), its data, and the id to resume after."""

    event: str
    data: str
    id: str | None = None


def messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """The events of a stream; comments (heartbeats) are skipped, an unfinished last event is dropped.

    An id without data moves the place to resume from: it comes as a message with empty data.
    """
    event = "message"
    last_id: str | None = None
    moved = False
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data or moved:
                yield Message(event, "\n".join(data), last_id)
            event, moved = "message", False
            data = []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            last_id, moved = value, True
