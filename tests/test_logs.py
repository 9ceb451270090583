"""Log lines: what they say, what they never say, and that one message is one line."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest

from model_manager import logs
from model_manager.errors import UpstreamError

log = logging.getLogger("model_manager.serving.control")


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is global: whatever a test configures is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logs, "_secrets", set())
    monkeypatch.setattr(logs, "_pattern", re.compile(logs._ISSUED))
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(form: logs.Format = "json", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream


def only(stream: io.StringIO) -> Any:
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def test_json_lines() -> None:
    stream = configured()
    log.warning("slot %s is %s", "active-llm", "active")
    line = only(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "model_manager.serving.control",
        "message": "slot active-llm is active",
    }


def test_human_lines() -> None:
    stream = configured("text")
    log.info("slot %s is active", "active-llm")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d info    serving\.control: slot active-llm is active\n", stream.getvalue()
    )


def test_people_at_a_terminal_get_human_lines_and_programs_json() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        logs.configure("info", "auto", stream)
        log.info("hello")
    assert terminal.getvalue().endswith("serving.control: hello\n")
    assert only(pipe)["message"] == "hello"


def test_levels() -> None:
    stream = configured(level="warning")
    log.info("no")
    log.warning("yes")
    assert only(stream)["message"] == "yes"
    with pytest.raises(KeyError):
        logs.configure("loud")


def test_configuring_again_replaces_the_handler() -> None:
    first, second = configured(), configured()
    log.info("hello")
    assert first.getvalue() == ""
    assert only(second)["message"] == "hello"


def test_uvicorn_s_lines_are_lines_of_ours() -> None:
    own = logging.StreamHandler(io.StringIO())
    logging.getLogger("uvicorn").addHandler(own)
    stream = configured()
    logging.getLogger("uvicorn.error").error("oops")
    assert only(stream)["logger"] == "uvicorn.error"
    assert own.stream.getvalue() == ""


def about() -> None:
    logs.request_id.set("r1")
    logs.activation_id.set("a1")
    logs.job_id.set("j1")
    log.info("hello")


def test_request_activation_and_job_are_named() -> None:
    stream = configured()
    copy_context().run(about)
    assert {name: only(stream)[name] for name in ("request", "activation", "job")} == {
        "request": "r1", "activation": "a1", "job": "j1"
    }  # fmt: skip
    human = configured("text")
    copy_context().run(about)
    assert human.getvalue().endswith("hello (request r1, activation a1, job j1)\n")


SECRET = 's3cret/"quoted" +'


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_registered_secrets_are_in_no_line(form: logs.Format, level: str) -> None:
    logs.register_secret(SECRET)
    stream = configured(form, level)
    log.info("the key is %s", SECRET)
    log.info("fetching https://host/?token=%s", "s3cret%2F%22quoted%22%20%2B")
    try:
        raise ValueError(f"bad key {SECRET}")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert "s3cret" not in text
    assert text.count(logs.REDACTED) >= 3


def test_a_secret_within_another_leaves_nothing_of_either() -> None:
    logs.register_secret("abcdef")
    logs.register_secret("abcdef-ghijkl")
    assert logs.redact("x abcdef-ghijkl abcdef y") == "x [secret] [secret] y"


@pytest.mark.parametrize("value", [None, "", "a", "short"])
def test_what_is_too_short_to_be_a_secret_blots_out_nothing(value: str | None) -> None:
    logs.register_secret(value)
    assert logs.redact("a short line") == "a short line"


def fails() -> None:
    raise ZeroDivisionError("by zero")


def test_no_stack_trace_unless_debugging() -> None:
    for level, traced in (("info", False), ("debug", True)):
        stream = configured(level=level)
        try:
            fails()
        except ZeroDivisionError:
            log.exception("turn failed")
        line = only(stream)
        assert ("Traceback" in stream.getvalue()) is traced
        assert ("trace" in line) is traced
        if not traced:
            assert re.fullmatch(
                r"turn failed: ZeroDivisionError: by zero \(at test_logs\.py:\d+\)", line["message"]
            )


def test_an_error_of_ours_is_its_sentence() -> None:
    stream = configured()
    try:
        raise UpstreamError("The server is gone.", "Start it.")
    except UpstreamError:
        log.exception("request failed")
    assert only(stream)["message"] == "request failed: The server is gone."


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\x1b[2J", "\x85", "\u2028", "\x00"])
def test_h8a_a_message_cannot_forge_a_line(break_: str) -> None:
    for form in ("json", "text"):
        stream = configured(form)
        log.info("asked for %s", f"x{break_}12:00:00 error all is lost")
        assert len(stream.getvalue().splitlines()) == 1
        assert break_ not in stream.getvalue()[:-1]


@pytest.mark.parametrize("form", ["json", "text"])
def test_text_that_is_not_unicode_is_logged_all_the_same(form: logs.Format) -> None:
    stream = configured(form)
    log.info("file %s", "\udcff.json")
    assert ".json" in stream.getvalue()
    stream.getvalue().encode()
