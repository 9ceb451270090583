"""The memory estimate against what llama.cpp asked for, and the decision on it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from model_manager.errors import Unprocessable
from model_manager.serving.admission import cache_bytes, decide, estimate_gguf, human_bytes
from model_manager.serving.engine_args import requests_at_once
from model_manager.weights.gguf import GGUF, read_gguf
from tests.serving.entries import EXAMPLES, entry

GIB = 2**30
DEMO = EXAMPLES.parent / "weights" / "demo"


class Measures(Struct):
    context_length: int = 1024
    block_count: int = 3
    embedding_length: int = 96
    head_count: int = 4
    head_count_kv: int = 4
    key_length: int = 0
    value_length: int = 0
    file_size: int = 774_880


LLAMA_3_8B = Measures(
    context_length=8192,
    block_count=32,
    embedding_length=4096,
    head_count=32,
    head_count_kv=8,
    file_size=4_920_734_272,
)


def test_the_cache_is_what_llama_cpp_asked_for() -> None:
    """Recorded: the demo model with 100,000,000 tokens, `failed to allocate buffer of size 115200000000`."""
    assert cache_bytes(Measures(), 100_000_000) == 115_200_000_000


def test_the_cache_of_a_model_with_grouped_heads() -> None:
    """Llama 3 8B at 8192 tokens: llama.cpp reports `KV buffer size = 1024.00 MiB`."""
    assert cache_bytes(LLAMA_3_8B, 8192) == GIB


def test_keys_and_values_may_differ_in_length() -> None:
    assert cache_bytes(Measures(key_length=192, value_length=128), 256) == 256 * 3 * 4 * (192 + 128) * 2


def test_the_context_is_rounded_up_as_llama_cpp_does() -> None:
    assert cache_bytes(Measures(), 1) == cache_bytes(Measures(), 256) < cache_bytes(Measures(), 257)


def test_the_demo_model_fits_a_small_machine() -> None:
    """Measured: 36 MB resident with 1024 tokens. The estimate errs upwards, but not by hundreds of megabytes."""
    need = estimate_gguf(read_gguf(next(DEMO.glob("*.gguf"))), 1024)
    assert 36_000_000 < need < 128 * 2**20


def test_a_model_of_8_billion_weights() -> None:
    """4.6 GiB of weights, 1 GiB of context, and buffers."""
    assert 5.8 * GIB < estimate_gguf(LLAMA_3_8B, 8192) < 6.2 * GIB


def test_without_a_context_the_engines_own_default_counts() -> None:
    assert estimate_gguf(LLAMA_3_8B, None) == estimate_gguf(LLAMA_3_8B, 4096)
    assert estimate_gguf(Measures(), None) == estimate_gguf(Measures(), 1024)


def test_each_request_at_once_has_its_own_context() -> None:
    more = estimate_gguf(Measures(), 4096, parallel=4) - estimate_gguf(Measures(), 4096)
    assert more == cache_bytes(Measures(), 3 * 4096)


def test_all_files_of_a_split_model_count() -> None:
    more = estimate_gguf(Measures(), 1024, weights=10 * GIB) - estimate_gguf(Measures(), 1024)
    assert more == 10 * GIB - Measures().file_size


@pytest.mark.parametrize(
    ("args", "at_once"),
    [
        ([], 1), (["--parallel", "4"], 4), (["-np 2"], 2), (["--parallel=3"], 3), (["--parallel", "x"], 1),
        (["--parallel"], 1), (["--parallel", "0"], 1), (["4"], 1),
    ],
)  # fmt: skip
def test_requests_at_once(args: list[str], at_once: int) -> None:
    assert requests_at_once(entry(args=args)) == at_once


@given(
    st.fixed_dictionaries({name: st.integers(0, 2**40) for name in Measures.__struct_fields__}),
    st.integers(1, 2**32),
)
def test_y5_no_header_makes_the_estimate_fail(fields: dict[str, Any], context: int) -> None:
    measures = GGUF(architecture="x", name="", chat_template=False, **fields)
    assert estimate_gguf(measures, context) >= measures.file_size


@pytest.mark.parametrize(
    ("need", "available", "freed"), [(1, 1, 0), (5 * GIB, 4 * GIB, GIB), (0, 0, 0), (GIB, 2 * GIB, 0)]
)
def test_what_fits_is_admitted(need: int, available: int, freed: int) -> None:
    assert decide(need, available, freed) == ""


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(Unprocessable) as e:
        decide(6 * GIB + 1, 4 * GIB, GIB)
    assert e.value.sentence == (
        "The model does not fit: it takes about 6.0 GiB of memory, and 5.0 GiB is free on this machine,"
        " 1.0 GiB of it once the model served now has stopped."
    )
    assert e.value.data == {"reason": "insufficient_memory", "needBytes": 6 * GIB + 1, "freeBytes": 5 * GIB}
    assert "contextLength" in e.value.hint


def test_what_nothing_gives_back_is_not_mentioned() -> None:
    with pytest.raises(Unprocessable, match=r"and 1\.0 GiB is free on this machine\.$"):
        decide(2 * GIB, GIB)


def test_an_unknown_need_is_admitted_with_a_note() -> None:
    assert "cannot be told" in decide(None, 0)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (200 * 2**20, "200 MiB"),
        (GIB, "1.0 GiB"), (2**40, "1.0 TiB"), (2**50, "1024 TiB"),
    ],
)  # fmt: skip
def test_human_bytes(count: int, text: str) -> None:
    assert human_bytes(count) == text
