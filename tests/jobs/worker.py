"""A worker for the runner's tests: does what its message says. Run as `python -m tests.jobs.worker`."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from model_manager.errors import Unavailable, WorkFailed
from model_manager.jobs.worker import Cancelled, Control, main


def work(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    if "pid_file" in message:
        _write(Path(message["pid_file"]), str(os.getpid()))
    return globals()[f"do_{message['do']}"](control, message)


def do_echo(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    print("a stray print of a library")
    control.log("said to the log")
    return {"message": message, "environment": dict(os.environ)}


def do_spy(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    """Write down all a worker can know."""
    command = Path("/proc/self/cmdline").read_text()
    _write(Path(message["out"]), json.dumps([message, dict(os.environ), command]))
    return {}


def do_wait(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    """Work until cancelled, as a well-behaved worker does: then tidy up."""
    staging = Path(message["staging"]) if "staging" in message else None
    if staging:
        staging.mkdir(exist_ok=True)
    try:
        while True:
            control.check()
            time.sleep(0.01)
    except Cancelled:
        if staging:
            staging.rmdir()
        raise


def do_ignore(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    """Neither cancel nor TERM is heard, and a grandchild holds the pipes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"])
    _write(Path(message["child_file"]), str(child.pid))
    threading.Event().wait()
    return {}


def do_leave_child(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    child = subprocess.Popen(["sleep", "300"])
    _write(Path(message["child_file"]), str(child.pid))
    os._exit(0)


def do_progress(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + message["seconds"]
    done = 0
    while time.monotonic() < deadline:
        done += 1
        control.report({"bytes_done": done, "bytes_total": 10**9, "file": "x"})
        time.sleep(0.001)
    return {"bytes_done": done}


def do_flood(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    sys.stderr.buffer.write(b"\xff\x00" * 2**20)
    for number in range(2000):
        print(f"line {number}", file=sys.stderr)
    return {}


def do_control(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    """Report that it is ready, then end once told a limit and unpaused."""
    control.report({"ready": True})
    while control.limit is None:
        time.sleep(0.01)
    control.check()
    return {"limit": control.limit}


def do_die(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    print("its last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def do_raise(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a bug with a path in it")


def do_refuse(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    raise WorkFailed("It does not fit.", "Free 3 GB.", code="no_space")


def do_flaky(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    """Fail in a way that is worth another attempt until the file says that it was tried often enough."""
    tries = Path(message["tries"])
    count = int(tries.read_text()) + 1 if tries.exists() else 1
    _write(tries, str(count))
    if count < message["good_at"]:
        raise Unavailable("The hub is busy.", retryable=True)
    return {"tries": count}


def do_nonsense(control: Control, message: dict[str, Any]) -> dict[str, Any]:
    control._out.write(json.dumps([1, 2]).encode() + b"\n")
    control._out.flush()
    threading.Event().wait()
    return {}


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(path)


if __name__ == "__main__":
    sys.exit(main(work))
