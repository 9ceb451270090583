"""One start of a model server: its leading process, whatever that forks, and their end.

The leader has a session and a process group of its own and a mark in its environment, which its children inherit.
Its exit is awaited without collecting it: as long as it stays a zombie, the kernel gives its number to no other
process or group, so that no signal of ours can reach a stranger.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from model_manager.serving.local import procfs

MARK = "MODEL_SERVER_MARK"
"""The variable that marks everything of one start."""

_LAUNCHER = Path(__file__).with_name("launcher.py")
_SLOWEST_LOOK = 0.2  # seconds between two looks at processes that are to end


def new_mark() -> str:
    """`NAME=value`, never used before."""
    return f"{MARK}={secrets.token_hex(16)}"


class Process:
    """Belongs to the event loop that started it, and must be started from a thread that lives as long as the service:
    the kernel kills the process when the thread that forked it ends."""

    def __init__(self, popen: "subprocess.Popen[bytes]", mark: str) -> None:
        self.pid = popen.pid
        self.mark = mark
        self.ended = asyncio.Event()
        """The leader has ended. What it forked may still run: `aclose` sees to that."""
        self.exit_code: int | None = None
        """Of the leader, once ended; negative: the number of the signal that ended it."""
        self._popen = popen
        self._watch = _ExitWatch(popen.pid, self._on_exit)

    @classmethod
    def start(
        cls, command: Sequence[str], environment: Mapping[str, str], folder: Path, mark: str, output: int
    ) -> "Process":
        """Run `command` in `folder`, writing to the descriptor `output`. OSError: it cannot be forked."""
        name, _, value = mark.partition("=")
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *command],
            env={**environment, name: value},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            close_fds=True,
            start_new_session=True,
        )
        return cls(popen, mark)

    async def stop(self, grace: float) -> None:
        """Ask the whole group to end, kill what is left after `grace` seconds, and return once nothing is left."""
        self._signal_group(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.ended.wait()
                await self._until_gone()
        await self.aclose()

    async def aclose(self) -> None:
        """Kill what still runs of this start, leader or not, wait until it is gone, and collect the leader."""
        if self._popen.returncode is not None:
            return
        if not self.ended.is_set():
            self._signal_group(signal.SIGKILL)
            await self.ended.wait()
        await self._until_gone(kill=True)
        self._watch.close()
        self._popen.wait()
        _collect_adopted(self.pid)

    async def _until_gone(self, kill: bool = False) -> None:
        """Return when nothing of this start runs. The leader must have ended, and not been collected."""
        pause = 0.005
        while others := await asyncio.to_thread(procfs.belonging, self.pid, self.mark):
            if kill:
                self._signal_group(signal.SIGKILL)
                for other in others:
                    if other.group != self.pid:
                        kill_exactly(other)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _SLOWEST_LOOK)

    def _signal_group(self, number: int) -> None:
        assert self._popen.returncode is None, "after the leader was collected its number may be a stranger's"
        assert self.pid > 1 and self.pid != os.getpgrp()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted on zombies
            os.killpg(self.pid, number)

    def _on_exit(self) -> None:
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert result is not None
        self.exit_code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        self.ended.set()


class _ExitWatch:
    """Calls back once when a child has ended, and leaves it uncollected. By pidfd; by looking where there is none."""

    def __init__(self, pid: int, on_exit: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pid, self._on_exit = pid, on_exit
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._descriptor = os.pidfd_open(pid)
            self._loop.add_reader(self._descriptor, self._tell)
        except (AttributeError, OSError):
            self._descriptor = -1
            self._look()

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _tell(self) -> None:
        self.close()
        self._on_exit()

    def _look(self) -> None:
        if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            self._tell()
        else:
            self._timer = self._loop.call_later(_SLOWEST_LOOK, self._look)


def kill_exactly(found: procfs.ProcessStat) -> None:
    """SIGKILL this process, unless its number has meanwhile gone to another one."""
    try:
        descriptor = os.pidfd_open(found.pid)  # from here on the number cannot change hands under us
    except OSError:
        return  # it is gone
    try:
        now = procfs.stat(found.pid)
        if now and now.start == found.start:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)


def _collect_adopted(group: int) -> None:
    """As process 1 of a container we inherit what the leader forked: collect it, or it stays a zombie."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG) != (0, 0):
            pass
