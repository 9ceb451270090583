"""Programs that tests start."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """`subprocess.Popen`, killed at the end: it alone would wait for ever when a test fails while its program runs."""
    with subprocess.Popen(command, **options) as program:
        try:
            yield program
        finally:
            program.kill()
