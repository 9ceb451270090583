"""A 404 of the path itself is told as such; a 404 of what was asked for passes."""

import json

import pytest

from model_manager.errors import ModelManagerError, NotFound, UpstreamError, UpstreamTimeout
from model_manager.gateway.failures import for_the_client, is_of_the_path
from tests.gateway.serving import behind
from tests.relay.upstream import answering

LLAMA_CPP = b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'
FASTAPI = b'{"detail":"Not Found"}'
STORED = (
    b'{"error":{"message":"Response with id resp_1 not found.","type":"invalid_request_error","code":404}}'
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LLAMA_CPP, True),
        (FASTAPI, True),
        (b"404 page not found", True),
        (b"", True),
        (b"[]", True),
        (b'"Not Found"', True),
        (b'{"message":"gone"}', True),
        (b"[" * 100_000, True),
        (STORED, False),
        (b'{"error":"no adapter of this name"}', False),
        (b'{"detail":"No adapter of this name."}', False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_of_the_path_or_not(body: bytes, expected: bool) -> None:
    assert is_of_the_path(body) is expected


def not_found(body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 404 -\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (headers, len(body)) + body


async def test_an_endpoint_that_the_engine_lacks_is_told() -> None:
    async with behind(answering(not_found(LLAMA_CPP))) as (_, gateway):
        answer = await gateway.ask({"model": "demo"}, "/v1/responses")
        assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "not_found", None)
        assert "The server of demo in slot active-llm does not have /v1/responses." in answer.error["message"]


async def test_anthropic_s_clients_are_told_in_their_words() -> None:
    async with behind(answering(not_found(FASTAPI))) as (_, gateway):
        answer = await gateway.ask({"model": "demo"}, "/v1/messages")
        told = json.loads(answer.body)
        assert (answer.status, told["type"], told["error"]["type"]) == (404, "error", "not_found_error")


@pytest.mark.parametrize("answer", [not_found(STORED), not_found(b"\x1f\x8b", b"Content-Encoding: gzip\r\n")])
async def test_what_an_endpoint_does_not_find_passes(answer: bytes) -> None:
    async with behind(answering(answer)) as (_, gateway):
        passed = await gateway.ask({"model": "demo"}, "/v1/responses")
        assert passed.status == 404
        assert answer.endswith(passed.body)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            UpstreamError("http://10.0.0.7:8080 broke off its answer after 3 bytes of the body"),
            "The model server of slot main broke off its answer after 3 bytes of the body.",
        ),
        (
            UpstreamError("cannot connect to http://[::1]:80: Connection refused", "Is it running?"),
            "Cannot connect to the model server of slot main: Connection refused.",
        ),
        (UpstreamTimeout("http://pod:1 did not answer in 5 s"), "The model server of slot main did not answer in 5 s."),
        (NotFound("No http://x here."), "No http://x here."),
    ],
)  # fmt: skip
def test_where_a_server_is_stays_here(error: ModelManagerError, sentence: str) -> None:
    told = for_the_client(error, "main")
    assert (told.sentence, told.hint, type(told)) == (sentence, error.hint, type(error))
