"""Log lines: readable on a terminal, JSON elsewhere; never a secret, never a stack trace unless asked for.

Every module logs through `logging.getLogger(__name__)`. Which request, activation or job a line belongs to is
kept in context variables, so nobody passes ids along for the sake of the log.
"""

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO
from urllib.parse import quote

from model_manager.errors import ModelManagerError

Format = Literal["auto", "text", "json"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
activation_id: ContextVar[str] = ContextVar("activation_id", default="")
job_id: ContextVar[str] = ContextVar("job_id", default="")

REDACTED = "[secret]"
_SHORTEST_SECRET = 6  # a shorter one would blot out half of every line, and is none

_ISSUED = "mm_[A-Za-z0-9_-]{43}"
"""What the tokens that `tokens/issued.py` makes look like: only their hashes are known after a restart."""

_secrets: set[str] = set()
_pattern = re.compile(_ISSUED)
# A line break or an escape sequence could forge a line or drive the reader's terminal; a lone surrogate, as in
# a file name that is not UTF-8, cannot be written at all.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def register_secret(value: str | None) -> None:
    """From now on `value` is in no log line, as it is or percent-encoded. Tiny ones are ignored."""
    global _pattern
    if value is None or len(value) < _SHORTEST_SECRET:
        return
    _secrets.update((value, quote(value, safe="")))
    longest_first = sorted(_secrets, key=len, reverse=True)
    _pattern = re.compile("|".join([*map(re.escape, longest_first), _ISSUED]))


def redact(text: str) -> str:
    """The text without the registered secrets and without tokens that we issued."""
    return _pattern.sub(REDACTED, text)


def configure(
    level: str = "info",
    format: Format = "auto",  # noqa: A002
    stream: TextIO | None = None,
) -> None:
    """Send all log lines to `stream` (standard error) and nowhere else. `auto` means text on a terminal."""
    stream = stream or sys.stderr
    text = stream.isatty() if format == "auto" else format == "text"
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(HumanFormatter(number) if text else JSONFormatter(number))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they bring handlers of their own
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("asyncio").setLevel(max(number, logging.INFO))  # its debug lines tell of selectors only


class _Formatter(logging.Formatter):
    def __init__(self, level: int) -> None:
        super().__init__()
        self._traces = level <= logging.DEBUG

    def _message(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not self._traces:
            text = f"{text}: {_in_one_sentence(error)}"
        return redact(text)

    def _trace(self, record: logging.LogRecord) -> str:
        if not self._traces or not record.exc_info:
            return ""
        return redact("".join(traceback.format_exception(*record.exc_info)))


class HumanFormatter(_Formatter):
    """`12:03:04 warning control: the sentence (request 3f2a)`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        message = _CONTROL.sub(_escaped, self._message(record))
        line = f"{time} {record.levelname.lower():<7} {record.name.removeprefix('model_manager.')}: {message}"
        about = [f"{name} {value}" for name, value in _context() if value]
        line += f" ({', '.join(about)})" if about else ""
        trace = self._trace(record)
        return f"{line}\n{trace.rstrip()}" if trace else line


class JSONFormatter(_Formatter):
    """One JSON object a line: time, level, logger, message and, where known, request, activation, job, trace."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            **{name: value for name, value in _context() if value},
        }
        if trace := self._trace(record):
            fields["trace"] = trace
        return json.dumps(fields)  # in ASCII: neither lone surrogates nor U+2028 can spoil a line


def _context() -> tuple[tuple[str, str], ...]:
    return ("request", request_id.get()), ("activation", activation_id.get()), ("job", job_id.get())


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _in_one_sentence(error: BaseException) -> str:
    """An error of ours speaks for itself; for a stranger, its type and where it was raised."""
    if isinstance(error, ModelManagerError):
        return error.sentence
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
