"""The worker's side of a job: `main` in a process of its own, JSON lines on its pipes.

In, on stdin: first the message, then control lines `{"cancel": true}`, `{"limit": bytes_per_s}`, `{"pause": bool}`.
Out, on stdout: `{"progress": {…}}`, `{"log": "…"}`, and last `{"result": {…}}` or `{"error": {code, sentence, hint,
retryable}}`. When stdin ends, or the parent does, the service is gone and the worker exits at once.
"""

import ctypes
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import IO, Any

import msgspec

from model_manager.errors import ModelManagerError

PROGRESS_SECONDS = 0.5
"""Between two reports of progress; what comes sooner replaces what was not told yet."""

EXIT_ORPHANED = 3
_PR_SET_PDEATHSIG = 1


class Cancelled(Exception):
    """The job was cancelled: tidy up and let this pass."""


class Control:
    """What the service asks of a running worker, and the worker's voice. Usable from every thread of the worker.

    `cancelled`, `limit` (bytes/s, or None) and `paused` are the latest the service said.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self.cancelled = False
        self.limit: int | None = None
        self.paused = False
        self._out = out
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._untold: dict[str, Any] | None = None
        self._next_report = 0.0

    def check(self) -> None:
        """Raise Cancelled when the job was cancelled; wait here while it is paused. Call it often."""
        if self.paused and not self.cancelled:
            with self._changed:
                self._changed.wait_for(lambda: self.cancelled or not self.paused)
        if self.cancelled:
            raise Cancelled

    def report(self, progress: dict[str, Any]) -> None:
        """Tell how far the work is: bytes_done, bytes_total, rate, eta, file. Cheap to call often."""
        with self._lock:
            self._untold = progress
            if time.monotonic() >= self._next_report:
                self._tell_progress()

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        self.send({"log": text})

    def send(self, line: dict[str, Any]) -> None:
        """Write one line, after the progress that was held back."""
        with self._lock:
            self._tell_progress()
            self._write(line)

    def obey(self, line: dict[str, Any]) -> None:
        """Take in a control line. Unknown words are skipped: the service may be newer than this file."""
        with self._changed:
            self.cancelled = self.cancelled or bool(line.get("cancel"))
            if "limit" in line:
                self.limit = line["limit"]
            if "pause" in line:
                self.paused = bool(line["pause"])
            self._changed.notify_all()

    def _tell_progress(self) -> None:
        if self._untold is not None:
            self._write({"progress": self._untold})
            self._untold = None
            self._next_report = time.monotonic() + PROGRESS_SECONDS

    def _write(self, line: dict[str, Any]) -> None:
        self._out.write(msgspec.json.encode(line) + b"\n")
        self._out.flush()


def main(work: Callable[[Control, dict[str, Any]], dict[str, Any]]) -> int:
    """Do `work(control, message)` for the service at the other end of the pipes; returns the exit status.

    What it returns is the job's result. A ModelManagerError it raises is the job's error; `retryable=True` among
    the error's data asks for another attempt.
    """
    _die_with_parent()
    heard, out = _take_pipes()
    control = Control(out)
    first = heard.readline()
    if not first:
        return EXIT_ORPHANED
    threading.Thread(target=_listen, args=(heard, control), daemon=True).start()
    try:
        control.send({"result": work(control, msgspec.json.decode(first))})
        return 0
    except Cancelled:
        control.send({"error": {"code": "cancelled", "sentence": "The job was cancelled.", "hint": ""}})
    except ModelManagerError as error:
        control.send({"error": _told(error)})
    except Exception as error:
        traceback.print_exc()  # to stderr, which the job's log keeps
        sentence = f"The worker failed: {type(error).__name__}."
        control.send(
            {"error": {"code": "internal", "sentence": sentence, "hint": "The job's log has the details."}}
        )
    return 1


def _told(error: ModelManagerError) -> dict[str, Any]:
    retryable = bool(error.data.get("retryable"))
    code = str(error.data.get("code", error.code))
    return {"code": code, "sentence": error.sentence, "hint": error.hint, "retryable": retryable}


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the real stdin and stdout for the protocol: stray reads find nothing, stray prints go to stderr.

    Being no longer `sys.stdin` also keeps the interpreter's exit from waiting a second for the listener's lock.
    """
    sys.stdout.flush()
    heard, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the exit may be sudden
    return heard, out


def _listen(heard: IO[bytes], control: Control) -> None:
    for line in heard:
        control.obey(msgspec.json.decode(line))
    os._exit(EXIT_ORPHANED)


def _die_with_parent() -> None:
    """Ask Linux to kill us with the parent; where it cannot, the end of stdin does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
