"""What is told of a request to a model when it is over."""

import time
from collections import deque
from collections.abc import Callable

from model_manager.gateway.usage import TAIL, usage_of

Observe = Callable[[str, str, int, float, float | None, int | None, int | None], None]
"""(slot or "", path, status, seconds, seconds to the body's first byte, tokens read, tokens written), once per request.

The status of a stream that broke is that of its error, which its client can only read in the stream.
"""


class Told:
    """One request, from its first moment (`began`, by the performance counter) to `tell`."""

    __slots__ = ("began", "begun", "first_byte", "pieces", "slot", "status")

    def __init__(self, slot: str = "", began: float | None = None) -> None:
        self.slot = slot
        self.status = 500
        self.begun = False
        self.pieces: deque[bytes] = deque(maxlen=4)  # the last ones, for the usage in them
        self.began = time.perf_counter() if began is None else began
        self.first_byte: float | None = None

    def first(self, status: int, piece: bytes) -> None:
        """The answer begins, with this piece of its body if it has one."""
        self.status = status
        self.begun = True
        if piece:
            self.first_byte = time.perf_counter() - self.began
            self.pieces.append(piece)

    def tell(self, observe: Observe, path: str) -> None:
        """The request is over."""
        tail = b"".join([piece[-TAIL:] for piece in self.pieces])[-TAIL:]
        seconds = time.perf_counter() - self.began
        observe(self.slot, path, self.status, seconds, self.first_byte, *usage_of(tail))
