"""A clock that goes on when a test says so."""


class Clock:
    """Seconds; called like `time.time`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
