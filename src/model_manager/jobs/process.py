"""The service's side of one worker process: start, listen, tell, kill. Knows pipes and signals, not jobs."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from model_manager.jobs.job import Outcome
from model_manager.logs import redact

EXIT_SECONDS = 1.0
"""How long a worker may take to exit after its last line, and its pipes to end after its exit."""

_LINE_LIMIT = 8 * 2**20
_LOG_LIMIT = 2**20
_TAIL_LINES = 50


class WorkerError(Struct):
    """The error a worker ends with."""

    code: str
    sentence: str
    hint: str = ""
    retryable: bool = False


class Line(Struct):
    """One line of a worker's stdout: one of these is set."""

    progress: dict[str, Any] | None = None
    log: str | None = None
    result: dict[str, Any] | None = None
    error: WorkerError | None = None


class WorkerLog:
    """What a worker says beside the protocol: the last lines in memory, the first MiB in a file."""

    def __init__(self, path: Path | None) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._partial = b""
        self._room = _LOG_LIMIT
        self._file = path.open("ab", buffering=0) if path else None

    def add(self, data: bytes) -> None:
        """Keep this, in whole lines (a secret cut in two would not be recognised) or in pieces of 64 KiB."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) >= 2**16:
            whole, self._partial = [*whole, self._partial], b""
        for line in whole:
            self._keep(redact(line.decode(errors="replace")))

    def _keep(self, line: str) -> None:
        if line.strip():
            self.tail.append(line[:1000])
        if self._file and self._room > 0:
            data = f"{line}\n".encode()
            self._room -= len(data)
            with contextlib.suppress(OSError):  # a full disk loses the log, not the job
                self._file.write(data)

    def close(self) -> None:
        """Take in what had no end of line and let the file go; the tail stays."""
        if self._partial:
            self.add(b"\n")
        if self._file:
            self._file.close()


class WorkerProcess:
    """A running `python -m <module>` in a session and process group of its own.

    Made on the event loop's thread: the parent-death signal belongs to the thread that forked.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: WorkerLog) -> None:
        self._process = process
        self._log = log
        self._stderr = asyncio.create_task(self._keep_stderr())

    @classmethod
    async def start(
        cls, module: str, message: dict[str, Any], environment: Mapping[str, str], log: WorkerLog
    ) -> "WorkerProcess":
        """Start the module and hand it its message. `-P`: nothing is imported from the current folder."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            limit=_LINE_LIMIT,
        )
        worker = cls(process, log)
        worker.tell(message)
        return worker

    @property
    def pid(self) -> int:
        """The worker's process id, which is its group's too."""
        return self._process.pid

    def tell(self, line: dict[str, Any]) -> None:
        """Send one line; a worker that is gone hears nothing."""
        assert self._process.stdin
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(msgspec.json.encode(line) + b"\n")

    async def outcome(self, on_progress: Callable[[dict[str, Any]], None]) -> Outcome:
        """Listen until the worker has said how it ended, or died; it is gone when this returns."""
        listening = asyncio.create_task(self._listen(on_progress))
        try:
            while not listening.done() and self._process.returncode is None:
                await asyncio.wait({listening}, timeout=EXIT_SECONDS)
            await self._gone(listening)
            said = listening.result() if listening.done() else None
        finally:
            listening.cancel()
            await self.kill()
        return said or self._died()

    async def _gone(self, listening: "asyncio.Task[Outcome | None]") -> None:
        """See the worker off: its stdin ends, then its group, which may hold the pipes longer than itself."""
        assert self._process.stdin
        self._process.stdin.close()
        deadline = asyncio.get_running_loop().time() + EXIT_SECONDS
        if self._process.returncode is None:
            await self._exit_until(deadline)
        self._kill_group()
        await asyncio.wait({listening}, timeout=EXIT_SECONDS)

    async def _exit_until(self, deadline: float) -> None:
        # `Process.wait` may also wait for pipes that a grandchild holds, depending on the version of Python.
        exited = asyncio.ensure_future(self._process.wait())
        loop = asyncio.get_running_loop()
        while self._process.returncode is None and (left := deadline - loop.time()) > 0:
            await asyncio.wait({exited}, timeout=min(0.05, left))
        exited.cancel()

    async def kill(self) -> None:
        """Kill the whole group and wait until the worker is gone. May be called at any time, again and again."""
        self._kill_group()
        if self._process.returncode is None:
            await self._exit_until(asyncio.get_running_loop().time() + EXIT_SECONDS)
        await asyncio.wait({self._stderr}, timeout=EXIT_SECONDS)
        self._stderr.cancel()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _listen(self, on_progress: Callable[[dict[str, Any]], None]) -> Outcome | None:
        assert self._process.stdout
        while True:
            try:
                line = await self._process.stdout.readline()
                if not line:
                    return None
                said = msgspec.json.decode(line, type=Line)
            except (ValueError, msgspec.DecodeError) as nonsense:  # no line's end, or not the protocol
                return Outcome.failed("worker_protocol", f"The worker spoke nonsense: {nonsense}.")
            if said.progress is not None:
                on_progress(said.progress)
            if said.log is not None:
                self._log.add(f"{said.log}\n".encode())
            if said.result is not None:
                return Outcome(result=said.result)
            if (error := said.error) is not None:
                return Outcome.failed(error.code, error.sentence, error.hint, retryable=error.retryable)

    async def _keep_stderr(self) -> None:
        assert self._process.stderr
        while data := await self._process.stderr.read(2**16):
            self._log.add(data)

    def _died(self) -> Outcome:
        code = self._process.returncode
        if code is not None and code < 0:
            how = f"was killed by signal {-code}"
            hint = "The machine may have run out of memory." if code == -signal.SIGKILL else ""
        else:
            how, hint = f"ended with exit status {code} and no result", ""
        last = f" Its last words: {self._log.tail[-1][:300]}" if self._log.tail else ""
        return Outcome.failed("worker_died", f"The worker {how}.{last}", hint, retryable=True)
