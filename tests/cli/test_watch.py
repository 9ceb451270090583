"""`--watch`: drawn again when something happened, whether events tell of it or not, until Ctrl-C."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import pytest

from model_manager.cli.watching import IDLE
from tests.cli.service import Asked, Reply, Service, problem
from tests.programs import running
from tests.waiting import until_sync

EVENT = b'id: 7\ndata: {"id":"7","event":"e","subject":"s","actor":"a","createdAt":"t"}\n\n'


def jobs(*ids: str) -> dict[str, object]:
    return {"jobs": [{"id": id_, "type": "weight_install", "key": "k", "status": "running"} for id_ in ids]}


@contextmanager
def watching(service: Service, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a pipe; it must end by Ctrl-C, with the code that says so."""
    command = [sys.executable, "-m", "model_manager", *arguments, "--watch", "--url", service.url]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        yield program
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 130
        assert program.stderr
        assert b"Traceback" not in program.stderr.read()


def test_an_event_draws_it_again(service: Service) -> None:
    happened = Event()

    def stream() -> Iterator[bytes]:
        yield b"id: 6\n\n"
        happened.wait(10)
        yield EVENT
        happened.clear()
        happened.wait(10)

    service.on("GET", "/events", Reply(stream(), content_type="text/event-stream"))
    service.on("GET", "/jobs", jobs("one"))
    with watching(service, "jobs", "-o", "name") as program:
        assert program.stdout
        assert program.stdout.readline() == b"one\n"
        until_sync(lambda: service.paths().count("GET /jobs") >= 2)  # once it follows, it looks again
        service.on("GET", "/jobs", jobs("two"))
        begun = time.monotonic()
        happened.set()
        assert program.stdout.readline() == b"two\n"
        assert time.monotonic() - begun < IDLE / 2  # because it was told, not because it was time
    happened.set()


def test_without_events_it_looks_by_the_clock(service: Service) -> None:
    service.on("GET", "/events", problem(403, "Not for you."))
    service.on("GET", "/jobs", jobs("one"), jobs("one"), jobs("two"))
    with watching(service, "jobs", "-o", "name") as program:
        assert program.stdout
        assert program.stdout.readline() == b"one\n"
        assert program.stdout.readline() == b"two\n"  # and not `one` again: nothing had changed


def test_a_service_that_is_away_is_waited_for() -> None:
    service = Service()
    service.on("GET", "/jobs", jobs("one"))
    with watching(service, "jobs", "-o", "name") as program:
        assert program.stdout and program.stderr
        assert program.stdout.readline() == b"one\n"
        service.close()
        assert b"Trying again." in program.stderr.readline()
        again = Service(service.port)
        again.on("GET", "/jobs", jobs("two"))
        assert program.stdout.readline() == b"two\n"
    again.close()


def test_what_fails_the_first_time_fails(service: Service) -> None:
    service.on("GET", "/jobs", problem(401, "This needs a token."))
    command = [sys.executable, "-m", "model_manager", "jobs", "-w", "--url", service.url]
    assert subprocess.run(command, capture_output=True, timeout=20).returncode == 4


def test_a_terminal_is_cleared_before(service: Service) -> None:
    turn = 0

    def answer(_: Asked) -> Reply:
        nonlocal turn
        turn += 1
        return Reply(jobs(f"job{turn}"))

    service.on("GET", "/jobs", answer)
    service.on("GET", "/events", lambda _: Reply(iter([b"id: 6\n\n"]), content_type="text/event-stream"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "model_manager", "jobs", "--watch", "--url", service.url]
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with running(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environ, start_new_session=True
    ) as program:
        os.close(theirs)
        shown = b""
        while b"job2" not in shown:
            shown += os.read(ours, 10_000)
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 130
    os.close(ours)
    first, second = shown.split(b"\x1b[H\x1b[2J")[1:3]
    assert b"job1" in first and b"job1" not in second


@pytest.mark.parametrize("form", ["text", "json", "yaml", "name"])
def test_each_form_can_be_watched(service: Service, form: str) -> None:
    service.on("GET", "/jobs", jobs("one"))
    with watching(service, "jobs", "-o", form) as program:
        assert program.stdout
        assert program.stdout.readline() != b""
