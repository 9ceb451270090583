"""Bodies count from their first byte to the end of their request."""

from typing import Any

import pytest

from model_manager.errors import Unavailable
from model_manager.gateway.room import Room


async def six_bytes() -> Any:
    return {"type": "http.request", "body": b"x" * 6, "more_body": True}


async def test_what_others_hold_leaves_no_room_until_they_are_done() -> None:
    room = Room(10)
    with room.counting(six_bytes) as first:
        await first()
        with pytest.raises(Unavailable), room.counting(six_bytes) as second:
            await second()
        with pytest.raises(Unavailable):
            await first()
    with room.counting(six_bytes) as third:
        await third()
