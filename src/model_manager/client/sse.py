"""Reading server-sent events, line by line as they come. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One event of a stream: its name (`message` when it has none), its data, and the id to resume after."""

    event: str
    data: str
    id: str | None = None


class Parser:
    """Takes a stream's lines; an event is complete at its empty line.

    Comments (heartbeats) are skipped. An id without data moves the place to resume from: it comes as a message
    with empty data.
    """

    def __init__(self) -> None:
        self._last_id: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._event, self._moved = "message", False
        self._data: list[str] = []

    def line(self, raw: bytes) -> Message | None:
        """The message that this line completes, if it does. Its end may still be on it."""
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            told = Message(self._event, "\n".join(self._data), self._last_id)
            complete = bool(self._data) or self._moved
            self._begin()
            return told if complete else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            self._last_id, self._moved = value, True
        return None


def messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """The events of a stream; an unfinished last one is dropped."""
    parser = Parser()
    for line in lines:
        if (message := parser.line(line)) is not None:
            yield message
