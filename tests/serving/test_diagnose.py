"""The diagnosis table, on what failing model servers really wrote.

`recorded/*.log` are whole logs of the llama.cpp engine, each made by breaking one thing: the file cut short, another
magic number, a context of 100 million tokens. vLLM's lines are as its sources print them.
"""

import signal
from pathlib import Path

import pytest

from model_manager.serving.diagnose import ANY, ENDS, LLAMA_CPP, VLLM, diagnose

RECORDED = Path(__file__).parent / "recorded"


def of(
    *lines: str, exit_code: int | None = 1, phase: str = "starting", reason: str = "", waited: float = 5.0
):
    return diagnose(phase=phase, exit_code=exit_code, log_tail=lines, reason=reason, waited_seconds=waited)


@pytest.mark.parametrize(
    ("log", "exit_code", "code", "says"),
    [
        ("truncated", 1, "weights_incomplete", "the file ends before the tensor blk.1.attn_output.weight"),
        ("header_truncated", 1, "weights_incomplete", "ends within its key-value pairs"),
        ("magic", 1, "weights_not_gguf", "The weights are not a GGUF file: model.gguf"),
        ("empty", 1, "weights_not_gguf", "The weights are not a GGUF file: model.gguf"),
        ("version", 1, "weights_too_new", "GGUF version 9, and it reads up to 3"),
        ("unreadable", 1, "weights_unreadable", "/weights/secret/model.gguf: Permission denied"),
        ("no_folder", 1, "weights_missing", "/weights/gone does not exist"),
        ("no_gguf", 1, "weights_missing", "there is none in /weights/none"),
        ("two_models", 1, "weights_ambiguous", "hold 2 models, and only one can be served: a.gguf, b.gguf"),
        ("arch", 1, "unsupported_model", "architecture 'xlamb'"),
        ("tokenizer", 1, "unsupported_model", "key not found in model: tokenizer.ggml.model"),
        ("big_context", 1, "out_of_memory", "asked for 109863.28 MB at once"),
        ("bad_alloc", 1, "out_of_memory", "asked for 4394.53 MB at once"),
        ("chat_template", 1, "chat_template", "Unexpected token"),
        ("port_in_use", 1, "port_in_use", "could not listen on 127.0.0.1 port"),
        ("unknown_flag", 2, "arguments", "does not know these arguments: --flash-attn"),
        ("bad_value", 2, "arguments", "refuses the argument --pooling: invalid choice: 'max'"),
        ("killed", -signal.SIGKILL, "killed", "ran out of memory. Exit status -9"),
        ("killed", 137, "killed", "ran out of memory. Exit status 137"),
    ],
)
def test_a_recorded_failure_of_the_engine_is_explained(
    log: str, exit_code: int, code: str, says: str
) -> None:
    """P7: exits at start keep their reason."""
    lines = (RECORDED / f"{log}.log").read_text().splitlines()
    found = of(*lines, exit_code=exit_code)
    assert found.code == code
    assert says in found.sentence
    assert found.hint
    assert "Traceback" not in found.sentence


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when"
         " initializing the engine.", "out_of_gpu_memory", "nothing is left for the context"),
        ("ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is"
         " needed, which is larger than the available KV cache memory (9.50 GiB). Based on the available memory, the"
         " estimated maximum model length is 77824. Try increasing `gpu_memory_utilization` or decreasing"
         " `max_model_len` when initializing the engine.", "context_too_long", "about 77824 tokens"),
        ("ValueError: The model's max seq len (32768) is larger than the maximum number of tokens that can be stored"
         " in KV cache (19216). Try increasing `gpu_memory_utilization` or decreasing `max_model_len`.",
         "context_too_long", "does not fit the GPU's memory."),
        ("ValueError: Free memory on device (10.2/95.8 GiB) on startup is less than desired GPU memory utilization"
         " (0.9, 86.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
         "gpu_busy", "(10.2/95.8 GiB)"),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.25 GiB.", "out_of_gpu_memory", "ran out"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.", "out_of_gpu_memory", "ran out"),
        ("ValueError: User-specified max_model_len (8192) is greater than the derived max_model_len"
         " (max_position_embeddings=2048 or model_max_length=None in model's config.json).",
         "context_too_long", "The context of 8192 tokens"),
        ("ValueError: Model architectures ['DeepseekOCRForCausalLM'] are not supported for now. Supported"
         " architectures: dict_keys(['AquilaModel'])", "unsupported_model", "'DeepseekOCRForCausalLM'"),
        ("ValueError: Model architectures ['Foo'] failed to be inspected. Please check the logs for more details.",
         "unsupported_model", "'Foo'"),
        ("ValueError: The repository for x contains custom code which must be executed to correctly load the model."
         " Please pass the argument `trust_remote_code=True` to allow custom code to be run.",
         "remote_code", "code from its own repository"),
        ("RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG`",
         "no_gpu", "found no GPU"),
        ("RuntimeError: No HIP GPUs are available", "no_gpu", "found no GPU"),
        ("api_server.py: error: unrecognized arguments: --swap-space 8", "arguments", "--swap-space 8"),
        ("api_server.py: error: argument --dtype: invalid choice: 'fp17'", "arguments", "--dtype: invalid choice"),
        ("OSError: /mnt/models does not appear to have a file named config.json.", "wrong_weights",
         "there is no config.json in /mnt/models"),
        ("huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name':"
         " '/mnt/models/a/b'.", "weights_missing", "holds no configuration"),
        ("OSError: Can't load the configuration of '/mnt/models/x'. If you were trying to load it from…",
         "weights_missing", "holds no configuration"),
        ("HTTPError: 401 Client Error: Unauthorized for url: https://hub/x", "not_allowed", "refused"),
        ("GatedRepoError: Cannot access gated repo for url https://hub/x.", "not_allowed", "refused"),
        ("huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1)", "not_allowed", "refused"),
        ("OSError: Access to model meta-llama/Llama-3.1-8B is restricted.", "not_allowed", "gated"),
        ("ValueError: VLLM_PORT 'tcp://10.0.0.1:8000' appears to be a URI. This may be caused by a Kubernetes service"
         " discovery issue", "port_clash", "VLLM_PORT"),
        ("OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8080): address already in use",
         "port_in_use", "another program has it"),
        ("E llama_init_from_model: failed to initialize the context: std::bad_alloc", "out_of_memory", "'s context"),
        ("E gguf_init_from_reader: invalid magic characters: '<htm', expected 'GGUF'", "weights_not_gguf", "'<htm'"),
        ("OSError: [Errno 28] No space left on device", "disk_full", "The disk is full"),
        ("/usr/bin/python3: No module named vllm", "not_installed", "the Python module vllm is missing"),
        ("ModuleNotFoundError: No module named 'xllamacpp'", "not_installed", "There is no engine here"),
        ("ImportError: libgomp.so.1: cannot open shared object file: No such file or directory", "not_installed",
         "library libgomp.so.1 is missing"),
    ],
)  # fmt: skip
def test_a_line_of_another_server_is_explained(line: str, code: str, says: str) -> None:
    found = of(
        "INFO 11-23 loading",
        line,
        "",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    )
    assert (found.code, says in found.sentence) == (code, True), found.sentence
    assert found.hint


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [
        (127, "command_missing"), (126, "command_missing"), (-9, "killed"), (137, "killed"),
        (-11, "crashed"), (139, "crashed"), (-6, "crashed"), (134, "crashed"), (-4, "unsupported_cpu"),
        (-7, "weights_changed"), (-15, "stopped"), (143, "stopped"),
    ],
)  # fmt: skip
def test_without_a_telling_log_the_exit_status_decides(exit_code: int, code: str) -> None:
    """P7: 137 and 139 at start."""
    found = of("loading", exit_code=exit_code)
    assert found.code == code
    assert str(exit_code) in found.sentence


def test_the_log_explains_better_than_the_exit_status() -> None:
    assert of("torch.OutOfMemoryError: CUDA out of memory", exit_code=-6).code == "out_of_gpu_memory"


def test_never_ready_by_the_deadline_says_how_long_and_what_was_last_heard() -> None:
    found = of("loading shard 3 of 9", exit_code=None, waited=600.4)
    assert found.code == "never_ready"
    assert "within 600 s" in found.sentence
    assert "loading shard 3 of 9" in found.sentence
    assert "MODEL_MANAGER_ACTIVATION_TIMEOUT" in found.hint


def test_never_verified_by_the_deadline_repeats_the_last_answer() -> None:
    found = of(
        exit_code=None, phase="verifying", reason="The model server answered 503 at /v1/models.", waited=30.0
    )
    assert found.code == "never_ready"
    assert "answered no question within 30 s" in found.sentence
    assert "The model server answered 503 at /v1/models." in found.sentence


def test_silence_until_the_deadline_is_called_silence() -> None:
    assert of(exit_code=None).sentence.endswith("It wrote nothing.")


def test_an_unknown_failure_says_so_and_shows_the_last_lines() -> None:
    found = of("one", "two", "", "three  ", "ZeroDivisionError: division by zero", exit_code=3)
    assert found.code == "ended"
    assert "exit status 3, for a reason not known here" in found.sentence
    assert found.sentence.endswith("two | three | ZeroDivisionError: division by zero")


def test_how_it_ended_is_said_once_beside_its_last_lines_and_alone_without_them() -> None:
    reason = "The model server ended with exit code 3. Its last words: bye"
    assert reason not in of("bye", exit_code=3, reason=reason).sentence
    assert reason in of(exit_code=3, reason=reason).sentence


def test_a_flooded_log_does_not_flood_the_sentence() -> None:
    """P8"""
    assert len(of(*["x" * 1_000_000] * 5, exit_code=3).sentence) < 1000


def test_text_that_looks_like_a_format_is_shown_as_it_is() -> None:
    assert "{0} {evil}" in of("error: unrecognized arguments: {0} {evil}", exit_code=2).sentence


def test_every_row_ends_as_a_sentence_with_a_hint() -> None:
    for row in (*LLAMA_CPP, *VLLM, *ANY):
        assert row.hint.endswith((".", "!")), row.code
        assert row.sentence.rstrip("{0}").rstrip().endswith((".", ":")), row.sentence
    for code, sentence, hint in ENDS.values():
        assert sentence.endswith(".") and hint.endswith("."), code
