"""Heads that are met again. Pure.

A head that a parser has read is known by its bytes, without the digits of its length. Equal bytes mean the same
wherever they come from, so of a message with a known head only its length is to be read.
"""

from collections.abc import Sequence

HEAD_BYTES = 4096
"""Longer heads are not looked at."""

_LENGTH = b"ength: "
_DIGITS = 7
_ZERO = b"0"[0]
_OTHER_FRAMING = frozenset({b"transfer-encoding", b"upgrade", b"expect"})


def cut(data: bytes) -> tuple[bytes, int, int] | None:
    """(head without the digits of its length, where its body begins, length of that), if `data` has all of a head.

    Only a guess: whether it is a head, and of this length, is known of those that `is_sound` was asked about.
    """
    at = data.find(_LENGTH, 0, HEAD_BYTES)
    if at < 0:
        return None
    at += len(_LENGTH)
    stop = data.find(b"\r\n", at, at + _DIGITS + 2)
    end = data.find(b"\r\n\r\n", stop, HEAD_BYTES)
    digits = data[at:stop]
    if stop < 0 or end < 0 or not digits.isdigit() or (digits[0] == _ZERO and len(digits) > 1):
        return None
    return data[:at] + data[stop:end], end + 4, int(digits)


def is_sound(head: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether other digits at the cut make another length, and nothing else. The parser saw `headers` in this head."""
    before, length, after = head.partition(_LENGTH)
    line = (before.rpartition(b"\r\n")[2] + length).lower()
    names = [name for name, _ in headers]
    return (
        line == b"content-length: "
        and after[:2] in (b"\r\n", b"")
        and names.count(b"content-length") == 1
        and _OTHER_FRAMING.isdisjoint(names)
        # Each line is a header, so that the head neither ends before we think, nor began before the parser does.
        and head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == len(headers)
    )
