"""llama.cpp's server as a program: `python -m model_manager.engines.llama_cpp --model FOLDER --alias NAME …`.

Flags are those of `llama-server` where it has them. The bearer key comes from the environment
(`ENGINE_API_KEY`), never from the command line, which everyone on the machine can read.
Exit codes: 0 after SIGTERM, 1 when the model could not be loaded (llama.cpp's reason is on stderr, and beside
it ours, `error: …`), 2 for a wrong flag. While it loads, `/health` answers 503.
"""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model_manager.engines.gguf_file import context_length, find_gguf
from model_manager.engines.machine import usable_cores, usable_memory
from model_manager.errors import ModelManagerError

DEFAULT_CONTEXT = 4096
"""Tokens, where the entry asks for none: the 131072 of today's models cost gigabytes at once."""

MAX_CACHE_MIB = 512
"""llama.cpp keeps up to 8 GiB of old prompts in memory by itself: more than a small machine has."""

KEY_VARIABLE = "ENGINE_API_KEY"
POOLINGS = ("none", "mean", "cls", "last", "rank")


def parser() -> argparse.ArgumentParser:
    """The command line; a catalog entry's `args` are checked against an allow-list before they come here."""
    flags = argparse.ArgumentParser(prog="model_manager.engines.llama_cpp", allow_abbrev=False)
    flags.add_argument("--model", "-m", type=Path, required=True, help="a GGUF file, or a folder with one")
    flags.add_argument("--alias", "-a", required=True, help="the one name the server answers to")
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=8080)
    flags.add_argument("--ctx-size", "-c", type=positive_number, help="tokens of context of each request")
    flags.add_argument(
        "--parallel", "-np", type=positive_number, default=1, help="requests generated at once"
    )
    flags.add_argument(
        "--threads", "-t", type=positive_number, help="default: the cores this process may use"
    )
    flags.add_argument("--batch-size", "-b", type=positive_number)
    flags.add_argument("--ubatch-size", "-ub", type=positive_number)
    flags.add_argument("--n-gpu-layers", "-ngl", type=int, help="layers on the GPU; default: what fits")
    flags.add_argument("--embedding", "--embeddings", action="store_true", help="serve /v1/embeddings")
    flags.add_argument("--pooling", choices=POOLINGS, help="how token embeddings become one")
    flags.add_argument(
        "--chat-template-file", type=Path, help="a Jinja file instead of the model's own template"
    )
    return flags


def positive_number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def server_parameters(options: argparse.Namespace, key: str | None) -> Any:
    """xllamacpp's parameters for one model on this machine. ModelManagerError: nothing there to serve."""
    import xllamacpp

    file = find_gguf(options.model)
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.model_alias = {options.alias}  # a set there: exactly one, so that /v1/models names one model
    params.hostnames, params.port = [options.host], options.port
    params.api_keys = [key] if key else []
    _close(params)
    context = options.ctx_size or min(context_length(file) or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    params.n_parallel = options.parallel
    params.n_ctx = context * options.parallel  # llama.cpp divides the context among the requests
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads or usable_cores()
    params.cache_ram_mib = min(MAX_CACHE_MIB, usable_memory() // 32 // 2**20)
    params.use_jinja = True
    for name, value in {
        "n_batch": options.batch_size,
        "n_ubatch": options.ubatch_size,
        "n_gpu_layers": options.n_gpu_layers,
    }.items():
        if value is not None:
            setattr(params, name, value)
    if options.embedding:
        params.embedding = True
    if options.pooling:
        params.pooling_type = getattr(
            xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{options.pooling.upper()}"
        )
    if options.chat_template_file:
        params.chat_template = options.chat_template_file.read_text(encoding="utf-8")
    return params


def _close(params: Any) -> None:
    """Only the API: no page, no list of prompts, no settings; no web page of another origin may call it."""
    params.ui = False
    params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.cors_origins = params.cors_headers = ""
    params.cors_credentials = False


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        params = server_parameters(options, os.environ.get(KEY_VARIABLE))
    except ModelManagerError as error:
        return _refuse(f"{error.sentence} {error.hint}".strip())
    except (OSError, UnicodeDecodeError) as error:
        return _refuse(str(error))
    import xllamacpp

    try:
        # returns once the model is loaded; SIGTERM still ends the process here
        server = xllamacpp.Server(params)
    except RuntimeError:
        return _refuse(
            f"llama.cpp did not start with {params.model.path}; its own reason is in the lines around this."
        )
    stop = _stop_signal()
    _say(f"serving {options.alias} at {server.listening_address}")
    stop.recv(1)
    # The server has no way to stop, and ending Python normally would wait for its threads.
    os._exit(0)


def _stop_signal() -> socket.socket:
    """Readable after SIGTERM or SIGINT. A socket, for the signal may arrive on one of llama.cpp's threads."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader


def _refuse(sentence: str) -> int:
    _say(f"error: {sentence}")
    return 1


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
