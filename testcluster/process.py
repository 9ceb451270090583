"""One program of the cluster: started, waited for, held up, ended."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TAIL = 2000
"""Characters of a log that are worth showing."""


class Died(Exception):
    """A program ended that should run; the message has the end of its log."""


class Program:
    """A child of this process that ends with it, however this process ends.

    `setpriv` asks the kernel for that (PR_SET_PDEATHSIG) and then becomes the program. The signal comes when the
    thread that started it ends, so start it in the main thread.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
        self._environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child, f"{self.name} was not started"
        return self._child.pid

    def start(self) -> None:
        """Run it; its output is added to the log."""
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests
            )

    def check(self) -> None:
        """Raise Died unless it runs."""
        if self._child is None or self._child.poll() is not None:
            code = self._child.returncode if self._child else None
            end = self.log.read_text(errors="replace")[-TAIL:] if self.log.exists() else ""
            raise Died(f"{self.name} ended with code {code}. The end of {self.log}:\n{end}")

    def pause(self) -> None:
        """Stop its time: connections stay open and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end, and wait no longer than it takes."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once. Nothing of a test cluster needs a farewell."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, how)
            self._child.wait()
            self._child = None
