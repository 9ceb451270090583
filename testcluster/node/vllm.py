"""`vllm serve MODEL …`, scripted: vLLM's own arguments, a folder that must hold a model, and the answers of a script.

It refuses flags that vLLM would refuse (as far as the product may pass them) and a folder without `config.json`.
What it says on the way is what vLLM says, so that its log can be read by who reads vLLM's.
"""

import argparse
import os
import sys
from pathlib import Path

from tests import model_server

FLAGS = [
    "served-model-name",
    "max-model-len",
    "gpu-memory-utilization",
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "dtype",
    "quantization",
    "kv-cache-dtype",
    "max-num-seqs",
    "max-num-batched-tokens",
    "chat-template",
    "tokenizer",
    "tool-call-parser",
    "reasoning-parser",
    "revision",
    "seed",
    "swap-space",
    "load-format",
    "block-size",
    "hf-overrides",
    "api-key",
]
SWITCHES = [
    "trust-remote-code",
    "enforce-eager",
    "enable-auto-tool-choice",
    "enable-prefix-caching",
    "no-enable-prefix-caching",
    "enable-chunked-prefill",
    "disable-log-requests",
]


def main() -> int:
    flags = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    flags.add_argument("command", choices=["serve"])
    flags.add_argument("model")
    flags.add_argument("--host", default="0.0.0.0")
    flags.add_argument("--port", default="8000")
    for name in FLAGS:
        flags.add_argument(f"--{name}")
    for name in SWITCHES:
        flags.add_argument(f"--{name}", action="store_true")
    options = flags.parse_args()
    if not Path(options.model, "config.json").is_file():
        print(f"OSError: {options.model} does not appear to have a file named config.json.", file=sys.stderr)
        return 1
    if key := options.api_key or os.environ.get("VLLM_API_KEY"):
        os.environ["ENGINE_API_KEY"] = key
    alias = options.served_model_name or options.model
    sys.argv = ["vllm", f"--host={options.host}", f"--port={options.port}", f"--alias={alias}"]
    print("INFO Starting vLLM API server", flush=True)
    model_server.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
