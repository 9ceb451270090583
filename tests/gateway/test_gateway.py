"""The gateway against a scripted server: what passes, what does not, and what happens when somebody breaks off."""

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any, get_args

import pytest

from model_manager.gateway.bodies import MAX_FIELDS
from model_manager.gateway.passing import Passage
from model_manager.gateway.room import Room
from model_manager.relay import Relay
from tests.gateway.serving import CHAT, Slots, Way, behind, serving
from tests.relay.upstream import Peer, Talk, Upstream, answering, ever
from tests.waiting import until

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def json_answer(value: Any, status: int = 200, headers: bytes = b"") -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, headers, len(body)) + body


GOOD = json_answer({"choices": []})


@pytest.fixture(autouse=True, params=get_args(Way))
def on_every_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised here holds whichever way a request takes."""
    monkeypatch.setattr("tests.gateway.serving.WAY", request.param)


# ── requests ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
async def test_a_request_reaches_the_model_s_server_under_its_name(path: str) -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        answer = await gateway.ask({"model": "demo", "input": "x"}, path)
        assert (answer.status, answer.body, answer.complete) == (200, b'{"choices": []}', True)
        asked = upstream.requests[0]
        assert asked.line == f"POST {path} HTTP/1.1".encode()
        assert json.loads(asked.body) == {"model": "served-demo", "input": "x"}
        assert gateway.slots.busy == 0


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": ""}])
async def test_no_model_is_the_default_slot(body: dict[str, Any]) -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        assert (await gateway.ask(body)).status == 200
        assert gateway.slots.found == [None]
        assert json.loads(upstream.requests[0].body) == {"model": "served-demo"}


async def test_every_other_byte_of_the_body_is_the_client_s() -> None:
    """Numbers keep their digits, strings their escapes, nested objects their order and spaces."""
    odd = (
        b'{"a": 1.10e+05, "b":{"y" : [ 1,2 ],"x":"\\u00e9\\/"}, "model" :"demo",'
        b'"big":123456789012345678901234567890}'
    )
    async with behind(answering(GOOD)) as (upstream, gateway):
        assert (await gateway.ask(odd)).status == 200
        assert upstream.requests[0].body == (
            b'{"a":1.10e+05,"b":{"y" : [ 1,2 ],"x":"\\u00e9\\/"},"model":"served-demo",'
            b'"big":123456789012345678901234567890}'
        )


async def test_w13_of_two_models_only_the_one_that_was_judged_goes_on() -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        await gateway.ask(b'{"model": "other", "mod\\u0065l": "demo"}')
        assert gateway.slots.found == ["demo"]
        assert upstream.requests[0].body == b'{"model":"served-demo"}'


W13 = [
    {"model": "demo", "api_base": "http://127.0.0.1:9", "base_url": "http://127.0.0.1:9"},
    {
        "model": "demo",
        "tools": [{"parameters": {"properties": {f"p{i}": {"type": "string"} for i in range(20_000)}}}],
    },
    {"model": "demo", "response_format": {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}},
]


@pytest.mark.parametrize("body", W13, ids=["another address", "a huge schema", "a schema in a circle"])
async def test_w13_fields_do_not_choose_the_server(body: dict[str, Any]) -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        assert (await gateway.ask(body)).status == 200
        assert json.loads(upstream.requests[0].body) == body | {"model": "served-demo"}


@pytest.mark.parametrize("model", ["../demo", "http://127.0.0.1:9/", "DEMO", "demo ", "x" * 512, "ä\r\nX: y"])
async def test_w13_only_known_ids_are_routed(model: str) -> None:
    async with behind(ever) as (upstream, gateway):
        answer = await gateway.ask({"model": model})
        assert answer.status == 404
        assert (answer.error["code"], answer.error["param"]) == ("model_not_found", "model")
        assert "Active now: demo, other." in answer.error["message"]
        assert upstream.connections == 0


BAD = {
    "empty": (b"", "empty"),
    "not JSON": (b"{", "not JSON"),
    "not an object": (b"[]", "not an object"),
    "two values": (b"{} {}", "not JSON"),
    "not UTF-8 in a name": (b'{"\xff": 1}', "not JSON"),
    "nested deeply": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
    "a number as model": (b'{"model": 1}', "must be a string"),
    "an object as model": (b'{"model": {"a": "demo"}}', "must be a string"),
    "half a surrogate pair as model": (b'{"model": "\\ud800"}', "JSON|string"),
    "a long model": (b'{"model": "%s"}' % (b"x" * 513), "longer than 512"),
}


@pytest.mark.parametrize("name", BAD)
async def test_h12a_bad_bodies_are_400(name: str) -> None:
    body, reason = BAD[name]
    async with behind(ever) as (upstream, gateway):
        answer = await gateway.ask(body)
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
        assert any(word in answer.error["message"] for word in reason.split("|"))
        assert upstream.connections == 0


async def test_h12a_another_content_type_is_415() -> None:
    async with serving(Slots("http://127.0.0.1:1")) as gateway:
        answer = await gateway.ask({}, headers={"Content-Type": "text/plain"})
        assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("answer", [GOOD, SSE + chunk(b"data: x\n\n") + END], ids=["whole", "stream"])
async def test_a_page_of_a_listed_origin_can_read_its_answers(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "https://ui.example.com"
    monkeypatch.setattr("tests.gateway.serving.ORIGINS", (page,))
    async with behind(answering(answer)) as (_, gateway):
        for _ in range(2):
            passed = await gateway.ask({}, headers={"Origin": page, "Authorization": "Bearer client-t0ken"})
            assert (passed.status, passed.complete) == (200, True)
            assert passed.header("access-control-allow-origin") == page
            assert passed.header("vary") == "Origin"
            assert [name for name, _ in passed.headers].count("x-request-id") == 1


async def test_bodies_beyond_32_mib_are_413() -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        limit = 32 * 1024 * 1024
        answer = await gateway.ask(b"{}", headers={"Content-Length": str(limit + 1)})
        assert (answer.status, answer.error["code"]) == (413, "too_large")
        body = b'{"model":"demo","a":"' + b"x" * (limit - 23) + b'"}'
        assert len(body) == limit
        assert (await gateway.ask(body)).status == 200
        assert len(upstream.requests[0].body) == limit + len("served-")


async def test_h1a_a_body_for_which_there_is_no_room_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room.__init__, "__defaults__", (1000,))
    async with behind(ever) as (upstream, gateway):
        for _ in range(3):  # what was asked is forgotten
            assert (await gateway.ask({"input": "x" * 900})).status == 200
        answer = await gateway.ask({"input": "x" * 1000}, headers={"X-Request-ID": "not-the-short-way"})
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert len(upstream.requests) == 3


async def test_h1a_a_body_that_would_take_long_to_read_is_413() -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        many = b"".join(b',"k%d":1' % number for number in range(MAX_FIELDS + 1))
        answer = await gateway.ask(b'{"model":"demo"' + many + b"}")
        assert (answer.status, answer.error["code"]) == (413, "too_large")
        assert not upstream.requests


async def test_unavailable_models_are_503_with_the_time_to_wait() -> None:
    async with serving(Slots("http://127.0.0.1:1")) as gateway:
        answer = await gateway.ask({"model": "late"})
        assert (answer.status, answer.error["type"]) == (503, "server_error")
        message = "late is on its way in slot third (starting). Ask again in a moment."
        assert answer.error["message"] == message
        assert answer.header("retry-after") == "2"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models"])
async def test_other_methods_are_405(path: str) -> None:
    async with serving(Slots("http://127.0.0.1:1")) as gateway:
        answer = await gateway.ask(method="DELETE", path=path)
        assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
        assert answer.header("allow") in ("POST", "GET, HEAD")


async def test_models() -> None:
    async with serving(Slots("http://127.0.0.1:1")) as gateway:
        listed = json.loads((await gateway.ask(method="GET", path="/v1/models")).body)
        assert listed["object"] == "list"
        shown = [(model["id"], model["slot"], model["root"]) for model in listed["data"]]
        assert shown == [
            ("active-llm", "active-llm", "demo"),
            ("demo", "active-llm", "demo"),
            ("served-demo", "active-llm", "demo"),
            ("second", "second", "other"),
            ("other", "second", "other"),
            ("third", "third", "late"),
        ]
        assert json.loads((await gateway.ask(method="GET", path="/v1/models/demo")).body) == listed["data"][1]
        absent = await gateway.ask(method="GET", path="/v1/models/a/b")
        assert (absent.status, absent.error["code"]) == (404, "model_not_found")
        assert "Served: active-llm, demo, served-demo, second, other, third." in absent.error["message"]


# ── headers ──────────────────────────────────────────────────────────────────────────────────


async def test_w14_credentials_and_cookies_of_the_client_stay_here() -> None:
    given = {
        "Authorization": "Bearer client-t0ken",
        "X-API-Key": "client-t0ken",
        "Cookie": "session=1",
        "Proxy-Authorization": "Basic x",
        "X-Forwarded-For": "10.0.0.1",
        "Accept": "text/event-stream",
        "traceparent": "00-1-2-01",
    }
    async with behind(answering(GOOD)) as (upstream, gateway):
        answer = await gateway.ask({"model": "demo"}, headers=given)
        sent = dict(upstream.requests[0].headers)
        assert set(sent) == {
            b"host",
            b"accept",
            b"traceparent",
            b"content-type",
            b"authorization",
            b"x-request-id",
            b"content-length",
        }
        assert sent[b"authorization"] == b"Bearer upstream-k3y"
        assert sent[b"x-request-id"].decode() == answer.header("x-request-id")


async def test_w14_a_server_without_a_key_gets_none() -> None:
    async with (
        Upstream(answering(GOOD)) as upstream,
        serving(Slots("http://127.0.0.1:1", upstream.url)) as gateway,
    ):
        await gateway.ask({"model": "other"}, headers={"Authorization": "Bearer client-t0ken"})
        assert upstream.requests[0].header(b"authorization") is None


async def test_w14_the_server_s_own_affairs_do_not_reach_the_client() -> None:
    private = (
        b"Set-Cookie: a=b\r\nServer: engine\r\nDate: never\r\nAccess-Control-Allow-Origin: *\r\n"
        b"X-Echo: Bearer upstream-k3y\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Kept: yes\r\nRetry-After: 3\r\n"
    )
    async with behind(answering(json_answer({}, 429, private))) as (_, gateway):
        answer = await gateway.ask({})
        assert answer.status == 429
        names = [name for name, _ in answer.headers]
        assert sorted(names) == sorted(
            ["content-type", "content-length", "x-kept", "retry-after", "x-request-id", "connection"]
            + [name for name in ("date", "server") if name in names]
        )
        assert "never" not in dict(answer.headers).values()
        assert "engine" not in dict(answer.headers).values()


@pytest.mark.parametrize("status", [401, 403, 302, 307])
async def test_w14_a_refused_key_or_a_redirect_is_not_the_client_s(status: int) -> None:
    answer = json_answer({"error": "upstream-k3y"}, status, b"Location: http://127.0.0.1:9/\r\n")
    async with behind(answering(answer)) as (upstream, gateway):
        got = await gateway.ask({})
        assert (got.status, got.error["code"]) == (502, "upstream_error")
        assert got.header("location") is None
        assert b"k3y" not in got.body
        assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
async def test_the_server_s_own_errors_pass_as_they_are(status: int) -> None:
    async with behind(answering(json_answer({"error": {"message": "no"}}, status))) as (_, gateway):
        answer = await gateway.ask({})
        assert (answer.status, json.loads(answer.body)) == (status, {"error": {"message": "no"}})


# ── streams ──────────────────────────────────────────────────────────────────────────────────


async def test_w17_events_pass_when_they_come_and_proxies_are_asked_not_to_collect_them() -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE + chunk(b"data: 1\n\n"))
        await seen.wait()
        await peer.send(chunk(b"data: 2\n\n") + END)

    seen = asyncio.Event()
    async with behind(talk) as (_, gateway):
        client = await gateway.connect()
        await client.send({"stream": True})
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"x-accel-buffering: no" in head
        assert b"content-type: text/event-stream" in head
        assert b"data: 1" in await client.reader.readuntil(b"data: 1\n\n\r\n")
        seen.set()
        assert await client.reader.read(-1) == b"9\r\ndata: 2\n\n\r\n" + END
        client.leave()


W12 = {
    "split UTF-8": [b"data: \xc3", b"\xa4 \xf0\x9f", b"\x98\x80\n", b"\n"],
    "CRLF and CR": [b"data: 1\r", b"\n\r\n", b"data: 2\r\r", b"data: [DONE]\r\n\r\n"],
    "comments and unknown fields": [b": ping\n\n", b"retry: 5\nid: 3\nfoo\n", b"event: x\ndata:y\n\n"],
    "a line of 1 MB": [b"data: ", *([b"x" * 65_536] * 16), b"\n\n"],
    "not UTF-8": [b"\xff\xfe\x00", b"\x00"],
    "byte by byte": [bytes([byte]) for byte in b'data: {"choices": []}\n\ndata: [DONE]\n\n'],
}


@pytest.mark.parametrize("name", W12)
async def test_w12_events_pass_unchanged(name: str) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE)
        for piece in W12[name]:
            await peer.send(chunk(piece))
            await asyncio.sleep(0)
        await peer.send(END)

    async with behind(talk) as (_, gateway):
        answer = await gateway.ask({"stream": True})
        assert answer.complete
        assert answer.body == b"".join(W12[name])


@pytest.mark.parametrize("stream", [True, False])
async def test_w12_gzip_passes_unchanged(stream: bool) -> None:
    body = gzip.compress(b"data: 1\n\n" * 1000)
    kind = b"text/event-stream" if stream else b"application/json"
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        % kind
    )
    async with (
        Upstream(answering(head + chunk(body) + END)) as upstream,
        serving(Slots(upstream.url)) as gateway,
    ):
        answer = await gateway.ask({}, headers={"Accept-Encoding": "gzip"})
        assert upstream.requests[0].header(b"accept-encoding") == b"gzip"
        assert answer.header("content-encoding") == "gzip"
        assert (answer.body, answer.complete) == (body, True)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000])
async def test_answers_of_any_length_pass_whole(size: int) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
        + b"x" * size
    )
    async with behind(answering(answer)) as (_, gateway):
        got = await gateway.ask({})
        assert (len(got.body), got.complete, got.header("content-length")) == (size, True, str(size))


async def test_an_answer_without_a_body_passes() -> None:
    async with behind(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as (_, gateway):
        answer = await gateway.ask({})
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("transfer-encoding") is None


# ── breaks ───────────────────────────────────────────────────────────────────────────────────


async def test_w5_a_stream_that_breaks_says_so_and_does_not_end() -> None:
    async with behind(answering(SSE + chunk(b"data: 1\n\n"))) as (upstream, gateway):
        answer = await gateway.ask({"stream": True})
        first, *rest = [event for event in answer.body.split(b"\n\n") if event]
        assert first == b"data: 1"
        assert json.loads(rest[0].removeprefix(b"data: "))["error"]["code"] == "upstream_error"
        assert not rest[1:]
        assert b"[DONE]" not in answer.body
        assert not answer.complete
        assert len(upstream.requests) == 1  # and nothing is asked again
        await until(lambda: gateway.slots.busy == 0)


async def test_w5_an_event_cut_in_two_does_not_swallow_the_error() -> None:
    async with behind(answering(SSE + chunk(b'data: {"choi'))) as (_, gateway):
        events = (await gateway.ask({"stream": True})).body.split(b"\n\n")
        assert events[0] == b'data: {"choi'
        assert b'"upstream_error"' in events[1]


async def test_w5_a_stream_that_falls_silent_says_so() -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE + chunk(b"data: 1\n\n"))
        await peer.client_left()

    async with behind(talk, idle_timeout=0.2) as (upstream, gateway):
        answer = await gateway.ask({"stream": True})
        assert b'"upstream_timeout"' in answer.body
        assert not answer.complete
        await until(lambda: upstream.left == 1)


BROKEN = {
    "an answer without length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b'{"a'),
    "a long answer": b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1000,
    "compressed events": SSE[:-2] + b"Content-Encoding: gzip\r\n\r\n" + chunk(gzip.compress(b"x")[:5]),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_w5_any_other_broken_answer_is_cut_off(name: str) -> None:
    async with behind(answering(BROKEN[name])) as (_, gateway):
        answer = await gateway.ask({})
        assert answer.status == 200
        assert answer.body
        assert b"error" not in answer.body
        assert not answer.complete


EARLY = {
    "no answer": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "a head without a body": SSE,
    "half a short answer": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "no HTTP": b"hello\r\n",
}


@pytest.mark.parametrize("name", EARLY)
async def test_w6_what_breaks_before_the_first_byte_has_a_status(name: str) -> None:
    async with behind(answering(EARLY[name])) as (upstream, gateway):
        answer = await gateway.ask({"stream": True})
        assert (answer.status, answer.error["code"], answer.complete) == (502, "upstream_error", True)
        assert len(upstream.requests) == 1


async def test_w6_a_server_that_is_gone_is_502() -> None:
    async with serving(Slots("http://127.0.0.1:1")) as gateway:
        answer = await gateway.ask({})
        assert (answer.status, answer.error["type"]) == (502, "server_error")
        assert "Connection refused" in answer.error["message"]


async def test_w10_a_server_that_hangs_is_504_and_holds_up_no_other() -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.client_left()

    async with (
        Upstream(silent) as hung,
        Upstream(answering(GOOD)) as other,
        serving(Slots(hung.url, other.url), first_byte_timeout=0.5) as gateway,
    ):
        waiting = asyncio.create_task(gateway.ask({"model": "demo"}))
        await until(lambda: hung.requests)
        assert (await gateway.ask({"model": "other"})).status == 200
        answer = await waiting
        assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
        await until(lambda: hung.left == 1)


# ── clients that leave, clients that are slow ────────────────────────────────────────────────


async def before_the_first_byte(peer: Peer) -> None:
    await peer.request()
    await peer.client_left()


async def within_the_head(peer: Peer) -> None:
    await peer.request()
    await peer.send(SSE)
    await peer.client_left()


async def within_a_stream(peer: Peer) -> None:
    await peer.request()
    await peer.send(SSE + chunk(b"data: 1\n\n"))
    await peer.client_left()


async def within_a_busy_stream(peer: Peer) -> None:
    await peer.request()
    await peer.send(SSE)
    try:
        while True:
            await peer.send(chunk(b"data: 1\n\n" * 500))
            await asyncio.sleep(0)
    except ConnectionError:
        peer.upstream.left += 1


async def within_a_short_answer(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
    await peer.client_left()


@pytest.mark.parametrize(
    "talk",
    [before_the_first_byte, within_the_head, within_a_stream, within_a_busy_stream, within_a_short_answer],
    ids=lambda talk: talk.__name__,
)
async def test_w8_a_client_that_leaves_stops_the_generation(talk: Talk) -> None:
    async with behind(talk) as (upstream, gateway):
        client = await gateway.connect()
        await client.send({"stream": True})
        await until(lambda: upstream.requests)
        if talk in (within_a_stream, within_a_busy_stream):
            await client.reader.readuntil(b"data: 1")
        client.leave()
        await until(lambda: upstream.left == 1 and gateway.slots.busy == 0, timeout=1)
        await until(lambda: gateway.statuses)
        assert gateway.statuses == [200 if talk in (within_a_stream, within_a_busy_stream) else 499]


@pytest.mark.parametrize("talk", [before_the_first_byte, within_a_stream, within_a_busy_stream])
async def test_u4_a_token_that_ends_takes_its_generation_with_it(talk: Talk) -> None:
    async with behind(talk) as (upstream, gateway):
        client = await gateway.connect()
        await client.send({"stream": True}, headers={"Authorization": "Bearer client-t0ken"})
        await until(lambda: upstream.requests)
        if talk is not before_the_first_byte:
            await client.reader.readuntil(b"data: 1")
        gateway.keyring.set_static("another-token")
        await until(lambda: upstream.left == 1 and gateway.slots.busy == 0, timeout=1)
        if talk is before_the_first_byte:
            answer = await client.answer()
            assert (answer.status, answer.error["type"]) == (401, "authentication_error")
        else:
            rest = await client.reader.read()
            assert not rest.endswith(b"0\r\n\r\n")  # cut off, without an end that was faked
            assert b"HTTP/1.1" not in rest
        client.leave()


async def test_w8_many_clients_that_leave_at_once_leave_nothing_behind() -> None:
    async with behind(before_the_first_byte) as (upstream, gateway):
        clients = [await gateway.connect() for _ in range(100)]
        await asyncio.gather(*(client.send({"stream": True}) for client in clients))
        await until(lambda: len(upstream.requests) == 100)
        for client in clients:
            client.leave()
        await until(lambda: upstream.left == 100 and gateway.slots.busy == 0, timeout=5)
        upstream.talk = answering(GOOD)
        assert (await gateway.ask({})).status == 200


async def test_w8_a_client_that_leaves_while_it_sends_reaches_no_server() -> None:
    async with behind(ever) as (upstream, gateway):
        client = await gateway.connect()
        await client.send(b'{"model"', headers={"Content-Length": "1000"})
        client.leave()
        await until(lambda: gateway.statuses == [499])
        assert upstream.connections == 0


async def test_a_finished_answer_is_not_taken_for_a_client_that_left() -> None:
    """HTTP servers report a disconnect after the last message too."""
    async with behind(ever) as (upstream, gateway):
        client = await gateway.connect()
        for _ in range(20):
            await client.send({}, headers={"Connection": "keep-alive"})
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"content-length: 2\r\n" in head
            assert await client.reader.readexactly(2) == b"ok"
        client.leave()
        assert gateway.statuses == [200] * 20
        assert upstream.connections <= 1  # one that was known before


async def test_the_client_s_end_after_the_last_message_interrupts_nobody() -> None:
    """An HTTP server may report it while it still sends that message."""
    sent: list[Any] = []
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not received:
            received.append(True)
            return {"type": "http.request", "body": b"{}"}
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if not message.get("more_body", True):
            over.set()
            for _ in range(5):
                await asyncio.sleep(0)

    scope = {"type": "http", "headers": [(b"content-length", b"2")]}
    relay = Relay()
    for answer in (GOOD, SSE + chunk(b"data: 1\n\n") + END):
        received: list[bool] = []
        sent.clear()
        over.clear()
        async with Upstream(answering(answer)) as upstream:
            await Passage(CHAT, Slots(upstream.url), relay)(scope, receive, send)
        assert [message.get("more_body") for message in sent][-1] is False
    await relay.aclose()


class Flood(Upstream):
    """Sends events as fast as they are taken, and counts them."""

    def __init__(self) -> None:
        super().__init__(self.flood)
        self.sent = 0

    async def flood(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE)
        try:
            while True:
                await peer.send(chunk(b"data: " + b"x" * 65_528 + b"\n\n"))
                self.sent += 65_536
        except ConnectionError:
            self.left += 1


async def at_rest(count: Callable[[], int]) -> int:
    seen: list[int] = []

    def unchanged() -> bool:
        seen.append(count())
        return len(seen) >= 10 and len(set(seen[-10:])) == 1

    await until(unchanged)
    return seen[-1]


async def test_w9_a_slow_reader_makes_the_server_wait_and_is_cut_off() -> None:
    async with Flood() as upstream, serving(Slots(upstream.url), slow_reader_timeout=0.5) as gateway:
        client = await gateway.connect()
        await client.send({"stream": True})
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: upstream.left == 1 and gateway.slots.busy == 0)
        assert upstream.sent < 64 * 1024 * 1024
        client.leave()


async def test_w9_a_slow_reader_gets_everything_when_it_goes_on() -> None:
    async with Flood() as upstream, serving(Slots(upstream.url)) as gateway:
        client = await gateway.connect()
        await client.send({"stream": True})
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = await at_rest(lambda: upstream.sent)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await client.reader.readexactly(sent + 1_000_000)) == sent + 1_000_000
        client.leave()


async def test_w9_who_asks_again_and_again_and_never_reads_is_not_answered_again_and_again() -> None:
    body = b"x" * 100_000
    many = b"".join([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body])

    async def talk(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(many)

    request = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}" % CHAT.encode()
    async with Upstream(talk) as upstream, serving(Slots(upstream.url)) as gateway:
        client = await gateway.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):
            client.writer.write(request * 10)
            asked = await at_rest(lambda: len(upstream.requests))
        assert asked < 150
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            await client.reader.readexactly(len(body))
        client.leave()
        await until(lambda: gateway.slots.busy == 0)


async def test_the_path_s_query_goes_nowhere() -> None:
    async with behind(answering(GOOD)) as (upstream, gateway):
        await gateway.ask({}, path=CHAT + "?api-version=1&url=http://127.0.0.1:9/")
        assert upstream.requests[0].line == b"POST /v1/chat/completions HTTP/1.1"
