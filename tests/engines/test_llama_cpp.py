"""The real engine with the real demo model: what it answers, what it closes, and how it fails."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from model_manager.engines import llama_cpp
from model_manager.serving.flags import GRAMMARS

DEMO = Path(__file__).parents[2] / "examples/catalog/weights/demo/demo.gguf"
KEY = "key-of-this-start"


class Engine(NamedTuple):
    process: "subprocess.Popen[str]"
    port: int

    def ask(self, method: str, path: str, body: Any = None, key: str | None = KEY, **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> Any:
        status, data, _ = self.ask("POST", path, body)
        assert status == 200, data
        return json.loads(data)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "model_manager.engines.llama_cpp", "--alias", "demo", *map(str, arguments)]


@contextmanager
def engine(*arguments: str) -> Iterator[Engine]:
    environment = {**os.environ, "ENGINE_API_KEY": KEY}
    words = command("--model", DEMO.parent, "--port", "0", *arguments)
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            lines: list[str] = []
            # anywhere in a line: llama.cpp writes its own in pieces, from a thread of its own
            while not lines or not (said := re.search(r"serving demo at \S+:(\d+)$", lines[-1])):
                lines.append(process.stderr.readline())
                assert lines[-1], "".join(lines)
            yield Engine(process, int(said[1]))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def demo() -> Iterator[Engine]:
    with engine() as started:
        yield started


def test_it_chats(demo: Engine) -> None:
    answer = demo.post("/v1/chat/completions", model="demo", messages=[{"role": "user", "content": "hi"}])
    assert "demo model of Model Manager" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == "demo"


def test_it_streams(demo: Engine) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    status, data, headers = demo.ask("POST", "/v1/chat/completions", body)
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    events = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
    assert "demo model of Model Manager" in "".join(pieces)


def test_it_completes_as_many_tokens_as_asked(demo: Engine) -> None:
    answer = demo.post("/v1/completions", model="demo", prompt="Hello", max_tokens=3)
    assert answer["usage"]["completion_tokens"] == 3


def test_it_names_exactly_one_model(demo: Engine) -> None:
    _, data, _ = demo.ask("GET", "/v1/models")
    assert [model["id"] for model in json.loads(data)["data"]] == ["demo"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/props", "/tokenize"])
@pytest.mark.parametrize("key", [None, "wrong"])
def test_it_wants_its_key(demo: Engine, path: str, key: str | None) -> None:
    method = "GET" if path in ("/v1/models", "/props") else "POST"
    assert demo.ask(method, path, None if method == "GET" else {}, key=key)[0] == 401


def test_its_health_is_open(demo: Engine) -> None:
    status, data, _ = demo.ask("GET", "/health", key=None)
    assert (status, json.loads(data)) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("path", "status"), [("/", 404), ("/index.html", 404), ("/slots", 501), ("/metrics", 501)]
)
def test_its_page_and_its_insides_are_closed(demo: Engine, path: str, status: int) -> None:
    assert demo.ask("GET", path)[0] == status


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_page_of_another_origin_may_call_it(demo: Engine, method: str) -> None:
    _, _, headers = demo.ask(
        method, "/v1/models", Origin="http://evil.example", **{"Access-Control-Request-Method": "POST"}
    )
    assert not headers.get("Access-Control-Allow-Origin")
    assert headers.get("Access-Control-Allow-Credentials") != "true"


def test_it_ends_at_once_and_well_when_told_to() -> None:
    with engine() as started:
        begun = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(5) == 0
        assert time.monotonic() - begun < 1


def room(started: Engine) -> tuple[int, int]:
    """Requests at once, and tokens for each. Asked, since the log's lines come in pieces and late."""
    _, data, _ = started.ask("GET", "/props")
    props = json.loads(data)
    return props["total_slots"], props["default_generation_settings"]["n_ctx"]


def test_its_context_is_the_models_own_when_that_is_smaller(demo: Engine) -> None:
    assert room(demo) == (1, 1024)


def test_each_of_its_parallel_requests_has_the_whole_context() -> None:
    with engine("--ctx-size=256", "--parallel=2") as started:
        assert room(started) == (2, 256)


def test_it_embeds() -> None:
    with engine("--embedding", "--pooling=mean") as started:
        answer = started.post("/v1/embeddings", model="demo", input=["hello", "who are you?"])
        first, second = (item["embedding"] for item in answer["data"])
        assert len(first) == len(second) == 96
        assert first != second
        assert sum(value * value for value in first) == pytest.approx(1, abs=1e-3)


def fail(*arguments: str | Path) -> tuple[int, list[str]]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def test_weights_that_are_not_there_are_said(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert fail("--model", missing) == (
        1,
        [f"error: {missing} does not exist. Install the model's weights first."],
    )
    code, lines = fail("--model", tmp_path)
    assert (code, lines) == (
        1,
        [f"error: There is no GGUF file in {tmp_path}. llama.cpp serves GGUF files only."],
    )


def test_another_kind_of_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("<html>log in</html>")
    assert fail("--model", tmp_path) == (
        1,
        ["error: model.gguf is not a GGUF file. Install the model again."],
    )


def test_a_damaged_file_ends_it_with_llama_cpps_own_reason(tmp_path: Path) -> None:
    shutil.copyfile(DEMO, tmp_path / "model.gguf")
    os.truncate(tmp_path / "model.gguf", DEMO.stat().st_size // 2)
    code, lines = fail("--model", tmp_path, "--port=0")
    assert code == 1
    assert any("data is not within the file bounds" in line for line in lines)
    assert any("error: llama.cpp did not start with " in line for line in lines)


def test_a_bad_chat_template_ends_it(tmp_path: Path) -> None:
    (tmp_path / "template.jinja").write_text("{% bad")
    code, lines = fail("--model", DEMO, "--port=0", "--chat-template-file", tmp_path / "template.jinja")
    assert code == 1
    assert any("chat template" in line for line in lines)


def test_a_taken_port_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, lines = fail("--model", DEMO, f"--port={taken.getsockname()[1]}")
    assert code == 1
    assert any("couldn't bind HTTP server socket" in line for line in lines)


@pytest.mark.parametrize("flag", ["--ctx-size=0", "--parallel=-1", "--api-key=x", "--al=x", "--pooling=max"])
def test_a_wrong_flag_ends_it_with_2(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        llama_cpp.parser().parse_args(["--model=x", "--alias=y", flag])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_every_flag_an_entry_may_give_is_one_of_its_flags() -> None:
    known = {flag.lstrip("-") for flag in llama_cpp.parser()._option_string_actions}
    assert GRAMMARS["llama-cpp"].allowed <= known
