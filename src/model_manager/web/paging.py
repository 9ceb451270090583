"""What several lists are asked with."""

from typing import Annotated

from msgspec import Meta, Struct

Limit = Annotated[int, Meta(ge=1, le=1000)]


class Limited(Struct):
    """The newest `limit` of something."""

    limit: Limit = 100


class Tail(Struct):
    """The last `lines` of a log."""

    lines: Annotated[int, Meta(ge=1, le=10_000)] = 200
