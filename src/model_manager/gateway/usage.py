"""How many tokens a model server says it read and wrote: found in the end of an answer, without decoding it. Pure."""

import re

TAIL = 4096
"""Bytes at the end of an answer that are searched: usage comes after the text."""

_PLACES = (b'"usage"', b'"timings"')
"""OpenAI's and Anthropic's word, and llama.cpp's own. Within a JSON string the quotes would be escaped."""

_READ = re.compile(rb'"(?:prompt_tokens|input_tokens|prompt_n)"\s*:\s*(\d{1,12})(?!\d)')
_WRITTEN = re.compile(rb'"(?:completion_tokens|output_tokens|predicted_n)"\s*:\s*(\d{1,12})(?!\d)')


def usage_of(tail: bytes) -> tuple[int | None, int | None]:
    """(tokens of the prompt, tokens of the answer), each None where the server does not tell."""
    for word in _PLACES:
        place = tail.rfind(word)
        if place >= 0:
            read, written = _READ.search(tail, place), _WRITTEN.search(tail, place)
            if read or written:
                return (int(read[1]) if read else None, int(written[1]) if written else None)
    return None, None
