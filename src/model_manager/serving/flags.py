"""What the two engines' command lines call things: which flags are ours alone, and which an entry may give.

Tables only; `arguments.py` reads them. Names are written as `arguments.flag_name` makes them: no dashes in
front, `_` as `-`, without the part after `=` or a dot.
"""

from msgspec import Struct

from model_manager.serving.runtime import Engine


class Grammar(Struct, frozen=True):
    """One engine's flags.

    `ours`: never taken from an entry, since the service sets them or since they would open another door.
    `ours_prefixes`: the same for whole families. `retired`: flags that current releases refuse, and why.
    `short`: one-dash names and what they stand for. `allowed`: what an entry may give on this machine.
    `abbreviates`: the parser takes `--serv` for `--served-model-name`; `full` are names that are no abbreviation
    although they start like one of ours.
    """

    ours: frozenset[str]
    ours_prefixes: tuple[str, ...]
    short: dict[str, str]
    allowed: frozenset[str]
    retired: dict[str, str] = {}
    abbreviates: bool = False
    full: frozenset[str] = frozenset()


def words(text: str) -> frozenset[str]:
    """The names in a text, separated by spaces: long lists read better so."""
    return frozenset(text.split())


_VLLM = Grammar(
    ours=words(
        "model served-model-name host port uds api-key config middleware tool-parser-plugin reasoning-parser-plugin"
        " root-path allowed-origins allowed-methods allowed-headers allow-credentials download-dir"
        " allowed-local-media-path allowed-media-domains hf-overrides hf-token hf-config-path load-format"
        " model-loader-extra-config worker-cls worker-extension-cls scheduler-cls logits-processors"
        " logits-processor-pattern enable-sleep-mode api-server-count headless enable-ssl-refresh h11-max-header-count"
    ),
    ours_prefixes=("ssl-", "data-parallel-"),
    short={
        "tp": "tensor-parallel-size",
        "pp": "pipeline-parallel-size",
        "q": "quantization",
        "dcp": "decode-context-parallel-size",
        "ep": "enable-expert-parallel",
        "O": "optimization-level",
        "cc": "compilation-config",
    },
    retired={"swap-space": "vLLM removed it in 0.18 and does not start with it"},
    abbreviates=True,
    full=words("reasoning-parser allowed-token-ids"),
    allowed=words(
        "served-model-name tensor-parallel-size pipeline-parallel-size dtype gpu-memory-utilization max-model-len"
        " trust-remote-code no-trust-remote-code quantization enforce-eager no-enforce-eager max-num-seqs"
        " max-num-batched-tokens kv-cache-dtype kv-cache-memory-bytes block-size seed cpu-offload-gb tokenizer-mode"
        " chat-template chat-template-content-format enable-auto-tool-choice tool-call-parser reasoning-parser"
        " generation-config override-generation-config enable-prefix-caching no-enable-prefix-caching"
        " enable-chunked-prefill no-enable-chunked-prefill max-logprobs limit-mm-per-prompt mm-processor-kwargs"
        " rope-scaling rope-theta task runner convert enable-log-requests disable-log-requests disable-log-stats"
        " uvicorn-log-level max-log-len response-role async-scheduling no-async-scheduling attention-backend"
        " enable-expert-parallel decode-context-parallel-size optimization-level"
    ),
)

_LLAMA_CPP = Grammar(
    ours=words(
        "model model-url hf-repo hf-file hf-token hf-repo-v hf-file-v docker-repo alias host port path api-prefix"
        " api-key api-key-file media-path models-dir models-preset slot-save-path log-file props slots metrics"
        " rpc mmproj-url webui ui tools agent"
    ),
    ours_prefixes=("ssl-",),
    short={
        "m": "model", "mu": "model-url", "a": "alias", "hf": "hf-repo", "hfr": "hf-repo", "hff": "hf-file",
        "hft": "hf-token", "hfd": "hf-repo-draft", "dr": "docker-repo", "c": "ctx-size", "np": "parallel",
        "t": "threads", "tb": "threads-batch", "b": "batch-size", "ub": "ubatch-size", "ngl": "n-gpu-layers",
        "fa": "flash-attn", "ctk": "cache-type-k", "ctv": "cache-type-v", "ncmoe": "n-cpu-moe",
    },
    retired={"ctx-size": "`contextLength` says it, and the memory check reads it there"},
    allowed=words(
        "alias ctx-size parallel threads batch-size ubatch-size n-gpu-layers embedding embeddings pooling"
        " chat-template-file"
    ),
)  # fmt: skip

GRAMMARS: dict[Engine, Grammar] = {"vllm": _VLLM, "llama-cpp": _LLAMA_CPP}
