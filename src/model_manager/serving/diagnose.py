"""Why a model server failed, from what is left of it: its log's last lines, how it ended, how long it was waited for.

Pure: a table of rows, each made from a recorded failure (`tests/serving/recorded/`). The first row that matches
wins, so causes stand before their consequences. What no row knows is said to be unknown, with the last lines shown.
"""

import re
import signal
from collections.abc import Sequence

from msgspec import Struct


class Diagnosis(Struct, frozen=True):
    """A word for programs, a sentence with the cause first, and what to do next."""

    code: str
    sentence: str
    hint: str


class Row(Struct, frozen=True):
    """`pattern` is looked for in the log; `{0}`, `{1}` in the sentence are its groups."""

    code: str
    pattern: str
    sentence: str
    hint: str = ""


_LOWER = "Lower `contextLength` in the catalog entry, or choose a smaller model or quantisation."
_LOWER_VLLM = (
    "Lower `vllm.maxModelLen`, raise `vllm.gpuMemoryUtilization`, or choose a smaller model or quantisation."
)
_AGAIN = (
    "Remove the model's weights and install them again; if that does not help, the source itself is damaged."
)

LLAMA_CPP = (
    Row("not_installed", r"No module named 'xllamacpp'",
        "There is no engine here to serve the model with: the Python module xllamacpp is missing.",
        "Use Model Manager's image without `-slim`, or name a `runtime` that has an engine in the catalog entry."),
    Row("not_installed", r"ImportError: (lib[^:]+\.so[^:]*): cannot open shared object file",
        "The engine cannot be loaded: the system's library {0} is missing.",
        "Install it on the machine, or in the runtime's image (libgomp.so.1: `apt-get install libgomp1`)."),
    Row("weights_missing", r"failed to open GGUF file '([^']*)' \(No such file or directory\)",
        "The weights are not there: the file {0} does not exist.", "Install the model's weights."),
    Row("weights_unreadable", r"failed to open GGUF file '([^']*)' \((Permission denied|[^)]*)\)",
        "The weights cannot be read: {0}: {1}.", "Check the owner and the permissions of the weights' folder."),
    Row("weights_missing", r"error: There is no GGUF file in (.*?)\. ",
        "The weights hold no GGUF file: there is none in {0}.",
        "llama.cpp serves GGUF only: name a repository with GGUF files, or a vLLM runtime in the catalog entry."),
    Row("weights_missing", r"error: (\S+) does not exist\.",
        "The weights are not there: {0} does not exist.", "Install the model's weights."),
    Row("weights_ambiguous", r"error: \S+ holds (\d+) models: (.*?)\. Choose",
        "The weights hold {0} models, and only one can be served: {1}.",
        'Choose one with `"files"` in the catalog entry.'),
    Row("weights_incomplete", r"tensor '([^']*)' data is not within the file bounds",
        "The weights are incomplete: the file ends before the tensor {0}.", _AGAIN),
    Row("weights_not_gguf", r"invalid magic characters: '([^']*)', expected 'GGUF'",
        "The weights are not a GGUF file: it begins with {0!r}.",
        "A login or error page may have been stored in place of the file: check the source, then install again."),
    Row("weights_not_gguf", r"error: (\S+) is not a GGUF file",
        "The weights are not a GGUF file: {0}.",
        "A login or error page may have been stored in place of the file: check the source, then install again."),
    Row("weights_too_new", r"this GGUF file is version (\d+) but this software only supports up to version (\d+)",
        "The weights are newer than this engine: GGUF version {0}, and it reads up to {1}.",
        "Upgrade Model Manager, or install an older conversion of the model."),
    Row("weights_incomplete", r"gguf_init_from_\w+: failed to read (key-value pairs|magic|header|tensor \w+)",
        "The weights are incomplete: the GGUF file ends within its {0}.", _AGAIN),
    Row("unsupported_model", r"unknown model architecture: '([^']*)'",
        "This version of llama.cpp does not know the model architecture {0!r}.",
        "Upgrade Model Manager, or serve the model with vLLM."),
    Row("unsupported_model", r"error loading model vocabulary: (.*)",
        "The model's tokenizer cannot be used: {0}.", "Install another conversion of the model."),
    Row("out_of_memory", r"insufficient memory \(attempted to allocate ([\d.]+) MB\)",
        "There is not enough memory: llama.cpp asked for {0} MB at once and did not get it.", _LOWER),
    Row("out_of_memory", r"failed to (?:initialize the context: )?(?:allocate buffer for kv cache|std::bad_alloc)"
        r"|std::bad_alloc",
        "There is not enough memory for the model's context.", _LOWER),
    Row("chat_template", r"common_chat_templates_init: error: (.*)",
        "The chat template cannot be used: {0}.",
        "Correct the file named by `--chat-template-file`, or install another conversion of the model."),
    Row("port_in_use", r"couldn't bind HTTP server socket, hostname: ([^,]*), port: (\d+)",
        "The model server could not listen on {0} port {1}: it is in use or not allowed.",
        "Activate the model again: it gets another port. If it stays so, something takes every free port at once."),
)  # fmt: skip

VLLM = (
    Row("port_clash", r"VLLM_PORT.*appears to be a URI",
        "A Kubernetes Service called `vllm` gave the model server a wrong VLLM_PORT.",
        "Rename that Service, or set `enableServiceLinks: false` on the pod."),
    Row("out_of_gpu_memory", r"No available memory for the cache blocks",
        "The GPU's memory is used up by the weights: nothing is left for the context.", _LOWER_VLLM),
    Row("context_too_long", r"(?:To serve at least one request with the models?'s max seq len|is larger than the"
        r" (?:available KV cache memory|maximum number of tokens that can be stored in KV cache)).*?"
        r"(?:estimated maximum model length is (\d+))",
        "The context does not fit the GPU's memory: the longest that fits is about {0} tokens.", _LOWER_VLLM),
    Row("context_too_long", r"To serve at least one request with the models?'s max seq len|is larger than the"
        r" (?:available KV cache memory|maximum number of tokens that can be stored in KV cache)",
        "The context does not fit the GPU's memory.", _LOWER_VLLM),
    Row("gpu_busy", r"Free memory on device ?(.*?) on startup is less than desired GPU memory utilization",
        "The GPU's memory is not free: something else still holds a part of it. {0}",
        "Wait until what used it has ended, or lower `vllm.gpuMemoryUtilization`."),
    Row("out_of_gpu_memory", r"(HIP|CUDA) out of memory|torch\.OutOfMemoryError",
        "The GPU ran out of memory while the model was loaded.", _LOWER_VLLM),
    Row("context_too_long", r"User-specified max_model_len \((\d+)\) is greater than the derived max_model_len",
        "The context of {0} tokens is longer than the model was made for.",
        "Lower `vllm.maxModelLen` in the catalog entry."),
    Row("context_too_long", r"User-specified max_model_len.*is greater than the derived max_model_len",
        "The context asked for is longer than the model was made for.",
        "Lower `vllm.maxModelLen` in the catalog entry."),
    Row("unsupported_model", r"Model architectures \[([^\]]*)\].*(?:are not supported for now|failed to be inspected)",
        "This version of vLLM does not support the model architecture {0}.",
        "Use a runtime with a newer vLLM, or another model."),
    Row("remote_code", r"trust_remote_code=True|Please pass the argument `?trust_remote_code",
        "The model needs code from its own repository, which is not allowed to run.",
        "If you trust that code, set `vllm.trustRemoteCode` in the entry and MODEL_MANAGER_TRUST_REMOTE_CODE=true."),
    Row("no_gpu", r"Failed to infer device type|No HIP GPUs are available|No CUDA GPUs are available",
        "The model server found no GPU that it can use.",
        "Check the driver on this machine, or the entry's GPU request (`resources.limits`) on a cluster."),
    Row("wrong_weights", r"(?:^|: )(\S{1,300}) does not appear to have a file named (config\.json)",
        "The weights are not what vLLM reads: there is no {1} in {0}.",
        "Check that the folder holds a whole Hugging Face repository; GGUF files need the llama-cpp runtime."),
    Row("weights_missing", r"Repo id must be in the form|Can't load the configuration of '?([^'\s]*)",
        "The weights are not there: the model's folder holds no configuration.", "Install the model's weights."),
    Row("not_allowed", r"401 Client Error|GatedRepoError|Access to model (\S+) is restricted",
        "The Hub refused the model: it is gated, or the token is missing or wrong.",
        "Accept the model's licence on the Hub and give the service a token that may read it."),
)  # fmt: skip

ANY = (
    Row("arguments", r"error: unrecognized arguments: (.*)",
        "The model server does not know these arguments: {0}.",
        "Remove them from `args` or `vllm.extraArgs` in the catalog entry; other versions know other arguments."),
    Row("arguments", r"error: argument ([^:]*): (.*)",
        "The model server refuses the argument {0}: {1}.", "Correct it in the catalog entry."),
    Row("port_in_use", r"(?i)address already in use",
        "The model server could not listen on its port: another program has it.",
        "Activate the model again: it gets another port. If it stays so, something takes every free port at once."),
    Row("disk_full", r"No space left on device",
        "The disk is full.", "Free some space: `model-manager weights list` shows what takes how much."),
    Row("not_installed", r"No module named '?([\w.]+)'?",
        "The model server is not installed completely: the Python module {0} is missing.",
        "Install Model Manager (or the runtime) again."),
)  # fmt: skip

ROOT_CAUSE_ABOVE = "Engine core initialization failed. See root cause above"

_LINES, _LINE, _GROUP = 200, 1000, 300

NEVER_READY = "never_ready"
NOT_READY = "not_ready"
"""What a platform calls a server that runs and does not pass its probe yet; by the deadline it is NEVER_READY."""

ENDED = "ended"

ENDS = {
    127: ("command_missing", "The model server's command was not found on this machine.",
          "Install it (for vLLM: `pip install vllm`), or name another `runtime` in the catalog entry."),
    126: ("command_missing", "The model server's command is there, but it may not be run.",
          "Check the permissions of the command that the serving runtime names."),
    -signal.SIGKILL: ("killed", "The model server was killed: most often the machine ran out of memory.", _LOWER),
    -signal.SIGSEGV: ("crashed", "The model server crashed (segmentation fault).",
                      "Look at the log above the crash; a damaged file or a defect of the engine can be the cause."),
    -signal.SIGABRT: ("crashed", "The model server stopped itself (abort) after an internal error.",
                      "Look at the log's last lines; an unusual model or argument can be the cause."),
    -signal.SIGILL: ("unsupported_cpu", "This processor lacks an instruction that the model server was built to use.",
                     "Use a build for this processor, or another machine."),
    -signal.SIGBUS: ("weights_changed", "The model server lost a part of its files while it read them.",
                     "Check the disk; weights must not change while they are served."),
    -signal.SIGTERM: ("stopped", "The model server was told to stop by something other than this service.",
                      "Activate the model again."),
}  # fmt: skip


def diagnose(
    *,
    phase: str,
    exit_code: int | None,
    log_tail: Sequence[str],
    reason: str = "",
    waited_seconds: float = 0.0,
) -> Diagnosis:
    """The best explanation of a failed start.

    `exit_code` is None while the process runs, and a negative signal number (or 128 + it) when one ended it; `reason`
    is what was last heard of it, as a sentence; `phase` the activation's when it failed.
    """
    return (
        _from_log(log_tail)
        or _from_end(exit_code, log_tail)
        or (_never_ready(phase, log_tail, reason, waited_seconds) if exit_code is None else None)
        or _unknown(exit_code, log_tail, reason)
    )


def _from_log(log_tail: Sequence[str]) -> Diagnosis | None:
    """Line by line, each cut: what a model server writes may be a megabyte without a line break."""
    lines = [line[:_LINE] for line in log_tail[-_LINES:]]
    for row in (*LLAMA_CPP, *VLLM, *ANY):
        for line in lines:
            if match := re.search(row.pattern, line):
                groups = [(group or "")[:_GROUP] for group in match.groups()]
                return Diagnosis(row.code, row.sentence.format(*groups).strip(), row.hint)
    return None


def _from_end(exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis | None:
    """By signal or by the shell's numbers for them (137 is 128 + 9)."""
    if exit_code is None:
        return None
    signal_number = -(exit_code - 128) if 128 < exit_code < 160 else exit_code
    if signal_number not in ENDS:
        return None
    code, sentence, hint = ENDS[signal_number]
    return Diagnosis(code, f"{sentence} Exit status {exit_code}.", hint)


def _never_ready(phase: str, log_tail: Sequence[str], reason: str, waited_seconds: float) -> Diagnosis:
    heard = reason or _shown(log_tail)
    doing = "answered no question" if phase == "verifying" else "was not ready"
    return Diagnosis(
        NEVER_READY,
        f"The model server {doing} within {waited_seconds:.0f} s; it was still running."
        + (f" Last heard: {heard}" if heard else " It wrote nothing."),
        "Look at its log (`model-manager logs`); large models need a longer MODEL_MANAGER_ACTIVATION_TIMEOUT.",
    )


def _unknown(exit_code: int | None, log_tail: Sequence[str], reason: str) -> Diagnosis:
    end = (
        f"The model server ended with exit status {exit_code}"
        if exit_code is not None
        else "The model server failed"
    )
    shown = _shown(log_tail)
    said = f" Its last lines: {shown}" if shown else " It wrote nothing."
    if shown and reason.startswith("The model server ended"):
        reason = ""  # that was said already
    return Diagnosis(
        ENDED,
        f"{end}, for a reason not known here.{f' {reason}' if reason else ''}{said}",
        "Look at the whole log: `model-manager logs`.",
    )


def _shown(log_tail: Sequence[str], lines: int = 3, width: int = 200) -> str:
    """The last lines that say something, on one line."""
    telling = [
        line.strip()[:width] for line in log_tail if line.strip() and not line.startswith(ROOT_CAUSE_ABOVE)
    ]
    return " | ".join(telling[-lines:])
