"""Tokens are read from the end of an answer, and never from its text."""

import json

import pytest

from model_manager.gateway.usage import usage_of

CASES = {
    "OpenAI": (b'{"usage":{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33}}', (11, 22)),
    "with spaces": (b'{"usage": {"completion_tokens" : 22, "prompt_tokens": 11}}', (11, 22)),
    "embeddings": (b'{"usage":{"prompt_tokens":8,"total_tokens":8}}', (8, None)),
    "Responses": (b'{"usage":{"input_tokens":5,"output_tokens":6}}', (5, 6)),
    "Anthropic's last event": (b'data: {"type":"message_delta","usage":{"output_tokens":6}}', (None, 6)),
    "a stream": (
        b'data: {"choices":[]}\n\ndata: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
        (1, 2),
    ),
    "llama.cpp's own words": (b'{"timings":{"prompt_n":3,"prompt_ms":1.5,"predicted_n":4}}', (3, 4)),
    "usage before timings": (
        b'{"usage":{"prompt_tokens":9,"completion_tokens":4},"timings":{"prompt_n":1,"predicted_n":4}}',
        (9, 4),
    ),
    "usage that is null": (b'{"usage":null,"timings":{"prompt_n":3,"predicted_n":4}}', (3, 4)),
    "nothing": (b"", (None, None)),
    "not JSON": (b"\x1f\x8b\x08\x00", (None, None)),
    "cut at its beginning": (b'tokens":11,"completion_tokens":22}}', (None, None)),
    "beyond what a number is": (b'{"usage":{"prompt_tokens":' + b"9" * 4000 + b"}}", (None, None)),
}


@pytest.mark.parametrize("name", CASES)
def test_usage(name: str) -> None:
    answer, expected = CASES[name]
    assert usage_of(answer) == expected


def test_a_text_that_speaks_of_usage_is_not_it() -> None:
    text = '{"usage":{"prompt_tokens":666,"completion_tokens":666}}'
    answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    assert usage_of(answer) == (None, None)
