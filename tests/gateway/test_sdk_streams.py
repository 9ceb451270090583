"""What the demo model cannot do, with servers that say what a real one says: tool calls, and breaking off.

The answers have the form of llama.cpp's and vLLM's; OpenAI's and Anthropic's own libraries read them.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.serving import Gateway, behind
from tests.relay.upstream import Talk, Upstream, answering

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

ARGUMENTS = '{"city": "Åbo"}'
HALVES = (ARGUMENTS[:6], ARGUMENTS[6:])

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
FLAT_TOOLS: Any = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
CLAUDE_TOOLS: Any = [{"name": "weather", "input_schema": SCHEMA}]
HI: Any = [{"role": "user", "content": "How is the weather in Åbo?"}]


def event(data: Any, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    lines = (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
    return b"%x\r\n%b\r\n" % (len(lines.encode()), lines.encode())


def named(*events: dict[str, Any]) -> bytes:
    return b"".join(event(one, one["type"]) for one in events)


def whole(value: dict[str, Any]) -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


END = b"0\r\n\r\n"


# ── OpenAI: chat completions ─────────────────────────────────────────────────────────────────


def piece(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event(
        {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    )


def call(arguments: str, **first: Any) -> dict[str, Any]:
    one = {"index": 0, "function": {"arguments": arguments}}
    if first:
        one |= {"id": "call_1", "type": "function"}
        one["function"] = {"name": "weather", "arguments": arguments}
    return {"tool_calls": [one]}


CHAT_CALL = whole(
    {
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}},
            ]},
        }],
    }
)  # fmt: skip
CHAT_CALL_STREAM = (
    SSE + piece({"role": "assistant", "content": None}) + piece(call("", first=True))
    + b"".join(piece(call(half)) for half in HALVES) + piece({}, "tool_calls") + event("[DONE]") + END
)  # fmt: skip
CHAT_BREAK = SSE + piece({"role": "assistant", "content": "Aye"})

# ── OpenAI: responses ────────────────────────────────────────────────────────────────────────

RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": ARGUMENTS,
         "status": "completed"},
    ], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
}  # fmt: skip
RESPONSES_CALL = whole(RESPONSE)
STARTED = {
    "type": "response.created",
    "sequence_number": 0,
    "response": {**RESPONSE, "output": [], "status": "in_progress"},
}
RESPONSES_CALL_STREAM = (
    SSE
    + named(
        STARTED,
        {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0,
         "item": {**RESPONSE["output"][0], "arguments": "", "status": "in_progress"}},
        *({"type": "response.function_call_arguments.delta", "sequence_number": 2 + n, "output_index": 0,
           "item_id": "fc_1", "delta": half} for n, half in enumerate(HALVES)),
        {"type": "response.completed", "sequence_number": 4, "response": RESPONSE},
    )
    + END
)  # fmt: skip
RESPONSES_BREAK = SSE + named(STARTED)

# ── Anthropic: messages ──────────────────────────────────────────────────────────────────────

MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
    "stop_reason": "tool_use", "stop_sequence": None,
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": json.loads(ARGUMENTS)}],
    "usage": {"input_tokens": 3, "output_tokens": 5},
}  # fmt: skip
BEGUN = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
MESSAGES_CALL = whole(MESSAGE)
MESSAGES_CALL_STREAM = (
    SSE
    + named(
        BEGUN,
        {"type": "content_block_start", "index": 0,
         "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": half}}
          for half in HALVES),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
         "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    + END
)  # fmt: skip
MESSAGES_BREAK = SSE + named(BEGUN)


@asynccontextmanager
async def openai_behind(talk: Talk) -> AsyncIterator[tuple[Upstream, openai.AsyncOpenAI]]:
    async with behind(talk) as (upstream, gateway):
        base = f"{url(gateway)}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="client-t0ken", max_retries=0) as ai:
            yield upstream, ai


@asynccontextmanager
async def claude_behind(talk: Talk) -> AsyncIterator[tuple[Upstream, anthropic.AsyncAnthropic]]:
    async with (
        behind(talk) as (upstream, gateway),
        anthropic.AsyncAnthropic(base_url=url(gateway), api_key="client-t0ken", max_retries=0) as claude,
    ):
        yield upstream, claude


def url(gateway: Gateway) -> str:
    return f"http://127.0.0.1:{gateway.port}"


# ── tool calls ───────────────────────────────────────────────────────────────────────────────


async def test_openai_tool_calls() -> None:
    async with openai_behind(answering(CHAT_CALL, CHAT_CALL_STREAM)) as (upstream, ai):
        answer = await ai.chat.completions.create(
            model="demo", messages=HI, tools=TOOLS, tool_choice="required"
        )
        (made,) = answer.choices[0].message.tool_calls or []
        assert made.type == "function"
        assert (made.function.name, made.function.arguments) == ("weather", ARGUMENTS)
        sent = json.loads(upstream.requests[0].body)
        assert (sent["tools"], sent["tool_choice"], sent["model"]) == (TOOLS, "required", "served-demo")
        async with ai.chat.completions.stream(model="demo", messages=HI, tools=TOOLS) as stream:
            final = await stream.get_final_completion()
        (made_too,) = final.choices[0].message.tool_calls or []
        assert (made_too.function.name, made_too.function.arguments) == ("weather", ARGUMENTS)


async def test_openai_responses_tool_calls() -> None:
    async with openai_behind(answering(RESPONSES_CALL, RESPONSES_CALL_STREAM)) as (_, ai):
        answer = await ai.responses.create(model="demo", input="How is the weather?", tools=FLAT_TOOLS)
        assert answer.output[0].type == "function_call"
        assert answer.output[0].arguments == ARGUMENTS
        async with ai.responses.stream(model="demo", input="How is it?", tools=FLAT_TOOLS) as stream:
            final = await stream.get_final_response()
        assert final.output[0].type == "function_call"
        assert final.output[0].arguments == ARGUMENTS


async def test_anthropic_tool_calls() -> None:
    async with claude_behind(answering(MESSAGES_CALL, MESSAGES_CALL_STREAM)) as (upstream, claude):
        answer = await claude.messages.create(
            model="demo", messages=HI, max_tokens=50, tools=CLAUDE_TOOLS, tool_choice={"type": "any"}
        )
        assert answer.content[0].type == "tool_use"
        assert answer.content[0].input == json.loads(ARGUMENTS)
        assert json.loads(upstream.requests[0].body)["tools"] == CLAUDE_TOOLS
        async with claude.messages.stream(
            model="demo", messages=HI, max_tokens=50, tools=CLAUDE_TOOLS
        ) as stream:
            final = await stream.get_final_message()
        assert final.content[0].type == "tool_use"
        assert (final.content[0].input, final.stop_reason) == (json.loads(ARGUMENTS), "tool_use")


# ── streams that break: each library raises, and never takes them for a whole answer ─────────


async def test_w5_openai_chat() -> None:
    async with openai_behind(answering(CHAT_BREAK)) as (upstream, ai):
        stream = await ai.chat.completions.create(model="demo", messages=HI, stream=True)
        with pytest.raises(openai.APIError, match="broke off") as caught:
            async for _ in stream:
                pass
        assert (caught.value.code, caught.value.type) == ("upstream_error", "server_error")
        assert len(upstream.requests) == 1


async def test_w5_openai_chat_within_an_event() -> None:
    """The half of an event that came cannot be taken back: the library fails on it, which is an error too."""
    async with openai_behind(answering(CHAT_BREAK[:-20])) as (_, ai):
        stream = await ai.chat.completions.create(model="demo", messages=HI, stream=True)
        with pytest.raises(json.JSONDecodeError):
            async for _ in stream:
                pass


async def test_w5_openai_responses() -> None:
    async with openai_behind(answering(RESPONSES_BREAK)) as (upstream, ai):
        stream = await ai.responses.create(model="demo", input="Hi", stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in stream:
                pass
        assert len(upstream.requests) == 1


async def test_w5_anthropic() -> None:
    async with claude_behind(answering(MESSAGES_BREAK)) as (upstream, claude):
        stream = await claude.messages.create(model="demo", messages=HI, max_tokens=50, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="broke off") as caught:
            async for _ in stream:
                pass
        assert caught.value.type == "api_error"
        assert len(upstream.requests) == 1


async def test_w6_before_the_first_byte_they_get_a_status() -> None:
    async with openai_behind(answering(b"")) as (_, ai):
        with pytest.raises(openai.InternalServerError) as caught:
            await ai.chat.completions.create(model="demo", messages=HI, stream=True)
        assert caught.value.status_code == 502
    async with claude_behind(answering(b"")) as (_, claude):
        with pytest.raises(anthropic.InternalServerError) as refused:
            await claude.messages.create(model="demo", messages=HI, max_tokens=50, stream=True)
        assert (refused.value.status_code, refused.value.type) == (502, "api_error")
