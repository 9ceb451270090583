"""A child's output as lines: split, bounded, readable, without secrets. Pure."""

from collections import deque
from collections.abc import Iterable

MAX_LINE = 2000
"""Bytes of a line; a longer one goes on in the next, so that the ring's memory is bounded by its lines."""

_CONTROL = {code: "�" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code != 0x09}


class LineSplitter:
    """Bytes in, finished lines out. Whatever comes (no line ends, binary, half a character), memory stays bounded."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._longest = max(map(len, self._secrets), default=0)
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that this piece of output completes."""
        *whole, rest = (self._rest + data).split(b"\n")
        lines = [part for line in whole for part in _cut(self._scrub(line))]
        # Of a line that does not end, as much is held back as half a secret needs.
        while len(rest := self._scrub(rest)) > MAX_LINE + self._longest:
            lines.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest
        return [_readable(line) for line in lines]

    def flush(self) -> list[str]:
        """What was left without a line end."""
        rest, self._rest = self._rest, b""
        return [_readable(part) for part in _cut(self._scrub(rest))] if rest else []

    def skip(self) -> None:
        """The output has a gap here: what came before it must not be joined to what comes after."""
        self._rest = b""

    def _scrub(self, line: bytes) -> bytes:
        for secret in self._secrets:
            line = line.replace(secret, b"***")
        return line


def _cut(line: bytes) -> list[bytes]:
    return [line[at : at + MAX_LINE] for at in range(0, len(line), MAX_LINE)] or [b""]


def _readable(line: bytes) -> str:
    """Text without control characters, which terminals obey; of a progress bar its last state."""
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
    return text.translate(_CONTROL)


class LogRing:
    """The last lines of a slot's output, oldest first."""

    def __init__(self, size: int = 2000) -> None:
        self._lines: deque[str] = deque(maxlen=size)

    def extend(self, lines: Iterable[str]) -> None:
        self._lines.extend(lines)

    def tail(self, count: int) -> tuple[str, ...]:
        length = len(self._lines)
        return tuple(self._lines[at] for at in range(max(0, length - count), length)) if count > 0 else ()
