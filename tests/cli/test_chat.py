"""Talking to a model: pieces as they come, streams that break, the loop on a terminal."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from model_manager.cli.conversation import Conversation
from model_manager.client import Client
from model_manager.errors import UpstreamError
from tests.cli.conftest import Run
from tests.cli.service import Asked, Reply, Service, chunk, problem, sse
from tests.waiting import until_sync

CHAT = "/v1/chat/completions"
MODELS = {"object": "list", "data": [{"id": "active-llm", "root": "demo"}, {"id": "demo", "root": "demo"}]}


class Terminal:
    """The program in a pseudo terminal: type, and wait for what it shows."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.program = subprocess.Popen(
            [sys.executable, "-m", "model_manager", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "dumb"}, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.shown = ""

    def type(self, line: str) -> None:
        os.write(self._ours, line.encode() + b"\n")

    def wait_for(self, text: str) -> None:
        def there() -> bool:
            try:
                self.shown += os.read(self._ours, 10_000).decode()
            except OSError:  # nothing yet, or the program has ended
                pass
            return text in self.shown

        until_sync(there)
        self.shown = self.shown.split(text, 1)[1]

    def close(self) -> int:
        code = self.program.wait(10)
        os.close(self._ours)
        return code


@pytest.fixture
def piped(run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    import io

    def go(text: str, *arguments: str) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return run(*arguments)

    return go


def test_one_message_from_a_pipe(piped: Any, service: Service) -> None:
    service.on("GET", "/v1/models", MODELS)
    service.on("POST", CHAT, sse(chunk("Hel"), chunk("lo!"), {"choices": [], "usage": {}}))
    assert piped("hello\n", "chat") == (0, "Hello!\n", "")
    assert service.asked[-1].payload == {
        "model": "demo", "messages": [{"role": "user", "content": "hello"}], "stream": True,
    }  # fmt: skip


def test_a_named_model_and_a_system_prompt(piped: Any, service: Service) -> None:
    service.on("POST", CHAT, sse(chunk("Arr!")))
    assert piped("hello", "chat", "demo-pirate", "--system", "Be brief.").out == "Arr!\n"
    assert service.asked[0].payload["model"] == "demo-pirate"
    assert service.asked[0].payload["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("  \n", "There is no message to answer."), ("\udcff", "The message is not UTF-8 text.")],
)
@pytest.mark.parametrize("command", [("chat",), ("run", "demo")], ids=" ".join)
def test_what_is_no_message_is_refused_before_anything_is_asked_for(
    piped: Any, service: Service, command: tuple[str, ...], text: str, sentence: str
) -> None:
    service.on("GET", "/v1/models", MODELS)
    code, out, err = piped(text, *command)
    assert (code, out) == (2, "")
    assert not [asked for asked in service.asked if asked.method == "POST"]
    assert sentence in err


def test_no_model_is_active(piped: Any, service: Service) -> None:
    service.on("GET", "/v1/models", {"object": "list", "data": []})
    service.on("GET", "/slots", {"slots": [{"state": "empty", "desired": None}]})
    code, _, err = piped("hello", "chat")
    assert code == 5
    assert "No model is active." in err


def test_the_model_is_on_its_way(piped: Any, service: Service) -> None:
    service.on("GET", "/v1/models", {"object": "list", "data": []})
    service.on("GET", "/slots", {"slots": [{"state": "starting", "desired": {"modelId": "demo"}}]})
    code, _, err = piped("hello", "chat")
    assert code == 1
    assert "demo is on its way (starting)" in err


def test_the_gateways_refusal(piped: Any, service: Service) -> None:
    refused = {
        "error": {
            "message": "No slot serves a model called 'x'. Active now: demo.",
            "code": "model_not_found",
        }
    }
    service.on("POST", CHAT, Reply(refused, 404))
    assert piped("hello", "chat", "x") == (
        5,
        "",
        "error: No slot serves a model called 'x'. Active now: demo.\n",
    )


def test_w5_a_stream_that_broke_is_no_answer(piped: Any, service: Service) -> None:
    service.on("POST", CHAT, sse(chunk("Hel"), end=None))
    code, out, err = piped("hello", "chat", "demo")
    assert (code, out) == (1, "Hel")
    assert "error: The answer broke off before its end." in err


def test_w5_an_error_inside_the_stream(piped: Any, service: Service) -> None:
    service.on("POST", CHAT, sse(chunk("Hel"), {"error": {"message": "The model server died."}}, end=None))
    code, out, err = piped("hello", "chat", "demo")
    assert (code, out) == (1, "Hel")
    assert "error: The model server died.\n" in err


def test_the_models_words_do_not_command_the_terminal(piped: Any, service: Service) -> None:
    service.on("POST", CHAT, sse(chunk("a\x1b[2Jb\nc")))
    assert piped("hello", "chat", "demo").out == "a[2Jb\nc\n"


def test_a_conversation_remembers_only_whole_answers(service: Service) -> None:
    conversation = Conversation(Client(service.url), "demo")
    service.on("POST", CHAT, sse(chunk("half"), end=None))
    with pytest.raises(UpstreamError):
        list(conversation.ask("first"))
    service.on("POST", CHAT, sse(chunk("whole")))
    assert list(conversation.ask("second")) == ["whole"]
    service.on("POST", CHAT, sse(chunk("x")))
    list(conversation.ask("third"))
    said = [message["content"] for message in service.asked[-1].payload["messages"]]
    assert said == ["second", "whole", "third"]


def test_w8_leaving_an_answer_closes_the_connection(service: Service) -> None:
    left = Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b'data: {"choices": [{"delta": {"content": "on "}}]}\n\n'
        finally:
            left.set()

    service.on("POST", CHAT, Reply(endless(), content_type="text/event-stream"))
    answer = Conversation(Client(service.url), "demo").ask("hello")
    assert next(answer) == "on "
    answer.close()  # type: ignore[attr-defined]
    assert left.wait(10)


def test_run_activates_and_asks(run: Run, service: Service) -> None:
    active = {"id": "a1", "slot": "active-llm", "modelId": "demo", "phase": "active", "result": "active"}
    service.on(
        "POST", "/models/activate", Reply({"activation": {**active, "phase": "queued", "result": None}}, 202)
    )
    service.on("GET", "/activations/a1", active)
    service.on("GET", "/slots/active-llm", {"state": "active", "desired": active})
    service.on("POST", CHAT, sse(chunk("Hello!")))
    assert run("run", "demo", "hello", "there") == (0, "Hello!\n", "")
    assert service.asked[-1].payload["messages"] == [{"role": "user", "content": "hello there"}]


def test_run_of_an_unknown_model(run: Run, service: Service) -> None:
    service.on("POST", "/models/activate", problem(404, "There is no model 'dmo'.", "Did you mean demo?"))
    assert run("run", "dmo", "hello") == (5, "", "error: There is no model 'dmo'.\n  Did you mean demo?\n")


def test_the_loop_on_a_terminal(service: Service) -> None:
    def echo(asked: Asked) -> Reply:
        said = [message["content"] for message in asked.payload["messages"]]
        return sse(chunk(f"heard {len(said)}: "), chunk(said[-1].upper()))

    service.on("GET", "/v1/models", MODELS)
    service.on("POST", CHAT, echo)
    terminal = Terminal("chat", "--url", service.url)
    terminal.wait_for("Talking to demo")
    terminal.wait_for(">>> ")
    terminal.type("hello")
    terminal.wait_for("heard 1: HELLO")
    terminal.type("again")
    terminal.wait_for("heard 3: AGAIN")
    terminal.type("/clear")
    terminal.type("anew")
    terminal.wait_for("heard 1: ANEW")
    terminal.type("/help")
    terminal.wait_for("/bye")
    terminal.type("/bye")
    assert terminal.close() == 0


def test_ctrl_c_stops_an_answer_and_the_loop_goes_on(service: Service) -> None:
    left = Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b'data: {"choices": [{"delta": {"content": "on "}}]}\n\n'
                left.wait(0.01)
        finally:
            left.set()

    service.on("POST", CHAT, Reply(endless(), content_type="text/event-stream"), sse(chunk("Back.")))
    terminal = Terminal("chat", "demo", "--url", service.url)
    terminal.wait_for(">>> ")
    terminal.type("talk")
    terminal.wait_for("on on on")
    terminal.program.send_signal(signal.SIGINT)
    terminal.wait_for("(stopped)")
    assert left.wait(10)
    terminal.wait_for(">>> ")
    terminal.type("hello")
    terminal.wait_for("Back.")
    terminal.type("\x04")  # Ctrl-D
    assert terminal.close() == 0


def test_a_failed_answer_does_not_end_the_loop(service: Service) -> None:
    away, closed = (
        problem(503, "Slot active-llm serves no model right now."),
        problem(401, "This needs a token."),
    )
    service.on("POST", CHAT, away, closed, sse(chunk("Back.")))
    terminal = Terminal("chat", "demo", "--url", service.url)
    terminal.wait_for(">>> ")
    terminal.type("hello")
    terminal.wait_for("error: Slot active-llm serves no model right now.")
    terminal.type("hello")
    terminal.wait_for("error: This needs a token.")
    terminal.wait_for("Put the token into MODEL_MANAGER_API_TOKEN")
    terminal.type("hello")
    terminal.wait_for("Back.")
    terminal.type("/bye")
    assert terminal.close() == 0
