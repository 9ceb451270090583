"""What an entry's fields mean on the command line of each engine. Pure."""

from collections.abc import Iterator

from model_manager.catalog.entry import Entry
from model_manager.errors import Unprocessable
from model_manager.serving.arguments import clean, flag_name, parse, split
from model_manager.serving.flags import GRAMMARS
from model_manager.serving.runtime import Engine


def engine_arguments(entry: Entry, engine: Engine, notes: list[str]) -> list[str]:
    """What the entry's fields mean on this engine's command line, then the entry's own arguments.

    What is left out adds a sentence to `notes`. Raises Unprocessable for a value that would be read as a flag.
    """
    own = _vllm_arguments(entry) if engine == "vllm" else _llama_cpp_arguments(entry)
    extra = entry.vllm.extra_args if entry.vllm and engine == "vllm" else ()
    words, left_out = clean((*extra, *entry.args), engine)
    notes += [*_unused_fields(entry, engine), *left_out]
    return [*own, *words]


def requests_at_once(entry: Entry) -> int:
    """How many contexts llama.cpp will hold at once, by the entry's `--parallel`; 1 without one."""
    found = 1
    for flag in parse(split(entry.args)):
        if flag_name(flag.text, GRAMMARS["llama-cpp"]) == "parallel":
            value = flag.inline or "".join(flag.values[:1])
            found = int(value) if value.isascii() and value.isdigit() else 1
    return max(1, found)


def _vllm_arguments(entry: Entry) -> list[str]:
    """In the original's order. Always a served name: without one vLLM answers to `/mnt/models`."""
    vllm = entry.vllm
    context = (vllm.max_model_len if vllm else None) or entry.context_length
    pairs = (
        ("--tensor-parallel-size", vllm.tensor_parallel_size if vllm else None),
        ("--dtype", _value(vllm.dtype, "vllm.dtype") if vllm and vllm.dtype else None),
        ("--gpu-memory-utilization", vllm.gpu_memory_utilization if vllm else None),
        ("--max-model-len", context),
    )
    arguments = [word for flag, value in pairs if value is not None for word in (flag, str(value))]
    if vllm and vllm.trust_remote_code:
        arguments.append("--trust-remote-code")
    return [*arguments, "--served-model-name", _value(entry.served_name, "servedModelName")]


def _llama_cpp_arguments(entry: Entry) -> list[str]:
    arguments = ["--alias", _value(entry.served_name, "servedModelName")]
    if entry.context_length:
        arguments += ["--ctx-size", str(entry.context_length)]
    if entry.task == "embed":
        arguments.append("--embedding")
        if entry.pooling:
            arguments += ["--pooling", entry.pooling]
    return arguments


def _unused_fields(entry: Entry, engine: Engine) -> Iterator[str]:
    if entry.vllm and engine == "llama-cpp":
        yield "`vllm` is left out: this runtime is llama.cpp's."
    if entry.pooling and engine == "vllm":
        yield "`pooling` is left out: vLLM takes it from the model."
    elif entry.pooling and entry.task != "embed":
        yield '`pooling` is left out: it belongs to `"task": "embed"`.'


def _value(text: str, field: str) -> str:
    """A text that stays the value of its flag: one with a dash in front would be a flag of its own."""
    if text.startswith("-") or not text.isprintable():
        raise Unprocessable(
            f"`{field}` cannot be {text[:80]!r}.", "It must not begin with a dash, nor hold line breaks."
        )
    return text
