"""The scripted model server: a real process with a real port that behaves as badly as it is told to.

    python -m tests.model_server --port 0 --alias NAME --behaviour late:2 --behaviour ignore_term

Standard library only and one file: it also starts by its path (`python -S -E tests/model_server.py …`).
It prints `listening on HOST:PORT`. The bearer key comes from ENGINE_API_KEY; `/health` and `/stats` are open.
`/stats` counts: {"requests", "generations", "cancelled", "active", "pid"}. `POST /exit/CODE` ends it at once.

Behaviours (`name`, `name:value`; may be given several times):
    late:S              /health says 503 for S seconds          never_ready     /health says 503 for ever
    bind_late:S         does not listen for S seconds           lie_name[:NAME] /v1/models names another model
    exit:CODE           ends at start                           exit_after:S    ends with code 1 in S seconds
    crash_once:PATH     ends with code 1 unless PATH exists (and makes it)
    signal:N            ends by signal N at start               slow_tokens:S   S seconds before each token
    die_at_token:N      ends with code 1 instead of token N     no_tokens       generates an empty answer
    error:STATUS        generations are refused with STATUS     hang            generations never answer
    health_stops:N      /health hangs after N good answers      tokens:N        length of an answer
    ignore_term         SIGTERM does nothing                    slow_term:S     ends S seconds after SIGTERM
    fork_grandchild     a child that holds the output and ignores SIGTERM, its pid at /stats "grandchild"
    escape_grandchild   the same in a session of its own
    flood_log[:S]       writes lines as fast as it can (for S seconds)
    flood_binary        writes bytes without a line end as fast as it can
    print_key           writes its key to the log
"""

import argparse
import json
import os
import select
import signal
import socket
import sys
import threading
import time

WORDS = ("Aye", ", ", "the ", "wind ", "is ", "fair", ", ", "let ", "us ", "sail", ".")


class Script:
    """The behaviours that were asked for."""

    def __init__(self, words: list[str]) -> None:
        self._values = {name: value for name, _, value in (word.partition(":") for word in words)}

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str) -> str:
        return self._values.get(name) or default

    def number(self, name: str, default: float = 0.0) -> float:
        return float(self._values.get(name) or default)


class Server:
    """Answers each connection in a thread; one request per connection, or keep-alive."""

    def __init__(self, alias: str, script: Script) -> None:
        self.alias, self.script, self.key = alias, script, os.environ.get("ENGINE_API_KEY", "")
        self.started = time.monotonic()
        self.health_answers = 0
        self.stats = {"requests": 0, "generations": 0, "cancelled": 0, "active": 0, "pid": os.getpid()}
        self.count_lock = threading.Lock()

    def count(self, name: str, by: int = 1) -> None:
        with self.count_lock:
            self.stats[name] += by

    def serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as reader:
            try:
                while self.one_request(connection, reader):
                    pass
            except OSError:
                pass

    def one_request(self, connection, reader) -> bool:
        words = reader.readline(65536).split()
        if len(words) != 3:
            return False
        headers = {}
        while (line := reader.readline(65536).strip()) != b"":
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = b"".join(read_chunks(reader))
        else:
            body = reader.read(int(headers.get(b"content-length", b"0")))
        method, path = words[0].decode(), words[1].decode().partition("?")[0]
        self.answer(connection, method, path, headers, body)
        return headers.get(b"connection", b"").lower() != b"close"

    def answer(self, connection, method: str, path: str, headers: dict, body: bytes) -> None:
        if path == "/stats":
            return reply(connection, 200, self.stats)
        if path == "/health":
            return self.health(connection)
        self.count("requests")
        if self.key and headers.get(b"authorization", b"") != b"Bearer " + self.key.encode():
            return reply(connection, 401, error("Invalid API Key"))
        if path.startswith("/exit/"):
            os._exit(int(path.removeprefix("/exit/")))
        if path == "/v1/models":
            name = (
                self.script.text("lie_name", "another-model") if self.script.has("lie_name") else self.alias
            )
            return reply(connection, 200, {"object": "list", "data": [{"id": name, "object": "model"}]})
        if method != "POST" or path not in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            return reply(connection, 404, error("File Not Found"))
        try:
            request = json.loads(body)
        except ValueError:
            return reply(connection, 400, error("the body is not JSON"))
        if path == "/v1/embeddings":
            return self.embed(connection, request)
        return self.generate(connection, request, chat="chat" in path)

    def health(self, connection) -> None:
        loading = time.monotonic() - self.started < self.script.number("late")
        if loading or self.script.has("never_ready"):
            return reply(connection, 503, error("Loading model"))
        self.health_answers += 1
        if self.script.has("health_stops") and self.health_answers > self.script.number("health_stops"):
            time.sleep(3600)
        return reply(connection, 200, {"status": "ok"})

    def embed(self, connection, request: dict) -> None:
        inputs = request.get("input", "")
        inputs = inputs if isinstance(inputs, list) else [inputs]
        data = [
            {"object": "embedding", "index": index, "embedding": [float(len(str(text))), 0.5, 0.25]}
            for index, text in enumerate(inputs)
        ]
        usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
        reply(connection, 200, {"object": "list", "model": self.alias, "data": data, "usage": usage})

    def generate(self, connection, request: dict, chat: bool) -> None:
        if self.script.has("error"):
            return reply(connection, int(self.script.number("error")), error("scripted refusal"))
        self.count("generations")
        self.count("active")
        try:
            self.tokens(connection, request, chat)
        except OSError:
            self.count("cancelled")
            raise
        finally:
            self.count("active", -1)
        return None

    def tokens(self, connection, request: dict, chat: bool) -> None:
        if self.script.has("hang"):
            while True:
                pause(connection, 3600)
        length = 0 if self.script.has("no_tokens") else int(self.script.number("tokens", len(WORDS)))
        length = min(length, request.get("max_tokens") or length)
        stream, words = bool(request.get("stream")), []
        if stream:
            start_stream(connection)
        for index in range(length):
            pause(connection, self.script.number("slow_tokens"))
            if self.script.has("die_at_token") and index >= self.script.number("die_at_token"):
                os._exit(1)
            words.append(WORDS[index % len(WORDS)])
            if stream:
                send_event(connection, self.piece(words[-1], chat, None))
        usage = {"prompt_tokens": 3, "completion_tokens": length, "total_tokens": length + 3}
        if not stream:
            return reply(connection, 200, self.whole("".join(words), chat, usage))
        send_event(connection, self.piece("", chat, "stop"))
        if (request.get("stream_options") or {}).get("include_usage"):
            send_event(connection, {**self.piece("", chat, None), "choices": [], "usage": usage})
        return end_stream(connection)

    def piece(self, word: str, chat: bool, finish: str | None) -> dict:
        choice = {"index": 0, "finish_reason": finish}
        choice |= {"delta": {"content": word} if word else {}} if chat else {"text": word}
        kind = "chat.completion.chunk" if chat else "text_completion"
        return {"id": "x", "object": kind, "created": 0, "model": self.alias, "choices": [choice]}

    def whole(self, text: str, chat: bool, usage: dict) -> dict:
        choice = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        kind = "chat.completion" if chat else "text_completion"
        return {
            "id": "x",
            "object": kind,
            "created": 0,
            "model": self.alias,
            "choices": [choice],
            "usage": usage,
        }


def error(message: str) -> dict:
    return {"error": {"message": message, "type": "scripted_error"}}


def reply(connection, status: int, body: dict) -> None:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)


def read_chunks(reader):
    while size := int(reader.readline(100).split(b";")[0], 16):
        yield reader.read(size)
        reader.readline(2)
    reader.readline(2)


def start_stream(connection) -> None:
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


def send_event(connection, body: dict | str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    data = f"data: {text}\n\n".encode()
    connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def end_stream(connection) -> None:
    send_event(connection, "[DONE]")
    connection.sendall(b"0\r\n\r\n")


def pause(connection, seconds: float) -> None:
    """Wait, but notice a client that leaves: OSError at once, as a generation that is cancelled."""
    readable, _, _ = select.select([connection], [], [], seconds)
    if readable and connection.recv(1, socket.MSG_PEEK) == b"":
        raise ConnectionResetError("the client left")


def prepare(script: Script, server: Server) -> None:
    """What happens before the port is bound."""
    if script.has("ignore_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(script.number("slow_term")), os._exit(0)))
    if script.has("print_key"):
        say(f"my key is {server.key}")
    if script.has("crash_once") and not os.path.exists(script.text("crash_once", "")):  # noqa: PTH110
        os.close(os.open(script.text("crash_once", ""), os.O_CREAT | os.O_WRONLY))
        say("crashing once")
        os._exit(1)
    for name in ("fork_grandchild", "escape_grandchild"):
        if script.has(name):
            server.stats["grandchild"] = fork_sleeper(escape=name.startswith("escape"))
    if script.has("exit"):
        say("going away as told")
        os._exit(int(script.number("exit")))
    if script.has("signal"):
        os.kill(os.getpid(), int(script.number("signal")))
    if script.has("exit_after"):
        later(script.number("exit_after"), lambda: os._exit(1))
    if script.has("flood_log") or script.has("flood_binary"):
        later(0, lambda: flood(script))
    time.sleep(script.number("bind_late"))


def fork_sleeper(escape: bool) -> int:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if escape:
            os.setsid()
        while True:
            time.sleep(3600)
    return pid


def flood(script: Script) -> None:
    data = (
        b"\xff\x00\x1b[31mnoise" * 4000
        if script.has("flood_binary")
        else b"a line of noise that goes on\n" * 2000
    )
    end = time.monotonic() + script.number("flood_log", 3600.0)
    while time.monotonic() < end:
        os.write(1, data)


def later(seconds: float, what) -> None:
    threading.Thread(target=lambda: (time.sleep(seconds), what()), daemon=True).start()


def say(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--alias", default="scripted")
    flags.add_argument("--behaviour", action="append", default=[])
    options, _other = flags.parse_known_args()  # a runtime may pass --model and more
    script = Script(options.behaviour)
    server = Server(options.alias, script)
    prepare(script, server)
    listener = socket.create_server((options.host, options.port), backlog=128)
    say("listening on {}:{}".format(*listener.getsockname()))
    threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
    while True:  # the main thread waits, for signal handlers run here
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
