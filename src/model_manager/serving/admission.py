"""What fits: the memory a model will take, estimated from its GGUF header, against what the machine can give. Pure.

Estimates err upwards by tens of megabytes for small models; what they must not miss are gigabytes: weights and context.
"""

from typing import Protocol

from model_manager.errors import Unprocessable

DEFAULT_CONTEXT = 4096
"""Tokens the llama.cpp engine takes where an entry asks for none (fewer if the model was trained for fewer)."""

PROCESS_BYTES = 64 * 2**20
"""The engine without a model: interpreter and libraries, 36 MB resident when measured, and room for its buffers."""

LOGITS_LIMIT = 320 * 2**20
"""Output buffer of the largest vocabularies in use: 512 rows x 152,000 tokens x 4 bytes = 297 MiB, rounded up."""

_CONTEXT_STEP = 256
_CACHE_ELEMENT = 2
_BATCH_ROWS = 512
_FLOAT = 4


class Shape(Protocol):
    """What a GGUF header tells of a model's size. Zero or None: the header does not say."""

    @property
    def context_length(self) -> int | None: ...
    @property
    def block_count(self) -> int | None: ...
    @property
    def embedding_length(self) -> int | None: ...
    @property
    def head_count(self) -> int | None: ...
    @property
    def head_count_kv(self) -> int | None: ...
    @property
    def key_length(self) -> int | None: ...
    @property
    def value_length(self) -> int | None: ...
    @property
    def file_size(self) -> int: ...


def estimate_gguf(gguf: Shape, context: int | None, weights: int | None = None, parallel: int = 1) -> int:
    """Bytes of memory for serving a GGUF model with `context` tokens for each of `parallel` requests.

    `weights` are the bytes of all its files (default: of the one whose header this is). llama.cpp maps them, but a
    model whose pages do not stay in memory reads the disk for every token.
    """
    tokens = context or min(gguf.context_length or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    total = gguf.file_size if weights is None else weights
    return total + cache_bytes(gguf, tokens * parallel) + _logits_bytes(gguf) + PROCESS_BYTES


def cache_bytes(gguf: Shape, tokens: int) -> int:
    """Bytes of the KV cache: for each token and layer a key and a value per KV head, as 16-bit floats.

    llama.cpp (`llama_kv_cache`): n_ctx x n_layer x n_head_kv x (key length + value length) x 2 bytes, n_ctx rounded
    up to 256. With the usual equal lengths that is 2 x n_ctx x n_layer x n_head_kv x head_dim x 2 bytes. Models with
    windowed attention in some layers take less.
    """
    heads = gguf.head_count or 1
    head_dim = (gguf.embedding_length or 0) // heads
    per_head = (gguf.key_length or head_dim) + (gguf.value_length or head_dim)
    padded = -(-tokens // _CONTEXT_STEP) * _CONTEXT_STEP
    return padded * (gguf.block_count or 0) * (gguf.head_count_kv or heads) * per_head * _CACHE_ELEMENT


def _logits_bytes(gguf: Shape) -> int:
    """A float per vocabulary word for each row of a batch.

    The header's shape does not name the vocabulary; its embedding table has to fit the file, at half a byte or more
    per weight, which bounds it for small models.
    """
    largest_vocabulary = 2 * gguf.file_size // max(1, gguf.embedding_length or 1)
    return min(LOGITS_LIMIT, _BATCH_ROWS * _FLOAT * largest_vocabulary)


def decide(need: int | None, available: int, freed: int = 0) -> str:
    """Admit a model that takes `need` bytes where `available` are free and `freed` more will be; returns a note or "".

    `freed` is what the model served now gives back when it stops. An unknown need (None) is admitted with a note:
    refusing what may well fit would be worse. Raises Unprocessable with both figures, in `data` too.
    """
    if need is None:
        return (
            "How much memory this model takes cannot be told from its files; it is started without a check."
        )
    free = available + freed
    if need <= free:
        return ""
    released = f", {human_bytes(freed)} of it once the model served now has stopped" if freed else ""
    raise Unprocessable(
        f"The model does not fit: it takes about {human_bytes(need)} of memory, and {human_bytes(free)} is free"
        f" on this machine{released}.",
        "Choose a smaller model or quantisation, or lower `contextLength` in its catalog entry.",
        reason="insufficient_memory",
        needBytes=need,
        freeBytes=free,
    )


def human_bytes(count: int) -> str:
    """`count` with the unit people read: 1536 is "1.5 KiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
