"""The few lines between our fork and the model server: `launcher.py PARENT_PID COMMAND…`. Standard library only.

It asks the kernel to kill this process when the service's thread that forked it ends, and then becomes the
command. Run by its path with `-I -S`: nothing of the package is imported, and it is through in about 15 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request above: nobody would ever kill us
        return 125
    _be_killed_first()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"error: cannot run {command[0]}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def _be_killed_first() -> None:
    """When memory runs out, the model server is to go, and not the service that can say why."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib would double the start-up time
            file.write("500")
    except OSError:
        pass  # not on this system


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
