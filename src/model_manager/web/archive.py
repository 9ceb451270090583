"""Named texts -> one zip, bounded in size. Pure."""

import io
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

MEMBER_LIMIT = 1 << 20
TOTAL_LIMIT = 16 << 20
"""Bytes before compression: of one file, and of all together."""


class Member(Struct, frozen=True):
    """One file. `keep`: which end stays when it is too long (what is newest: lists begin with it, logs end with it)."""

    name: str
    text: str
    keep: Literal["head", "tail"] = "head"


def pack(
    members: Iterable[Member], member_limit: int = MEMBER_LIMIT, total_limit: int = TOTAL_LIMIT
) -> bytes:
    """The zip. Files are cut between lines; those for which no room is left are named in `left-out.txt`."""
    import zipfile  # here: most services are never asked for one

    buffer = io.BytesIO()
    left, missing = total_limit, []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            data = cut(member, member_limit)
            if len(data) > left:
                missing.append(member.name)
                continue
            left -= len(data)
            archive.writestr(member.name, data)
        if missing:
            archive.writestr("left-out.txt", "\n".join(missing) + "\n")
    return buffer.getvalue()


def cut(member: Member, limit: int) -> bytes:
    """The member's text in at most `limit` bytes, whole lines of it, and a line that says so."""
    data = member.text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data
    note = f"[cut: this file had {len(data)} bytes]\n".encode()
    room = limit - len(note)
    if member.keep == "head":
        return data[: data.rfind(b"\n", 0, room) + 1] + note
    begin = data.find(b"\n", len(data) - room) + 1
    return note + (data[begin:] if begin else b"")
