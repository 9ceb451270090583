"""What a catalog entry may ask of a process on this machine. Pure.

On a cluster a pod is the fence. Here the model server runs as the service's own user, so what comes from Git
passes an allow-list: known variables, known flags, no path outside the model's folder. The runtime's own part is the
operator's and passes as it is.
"""

import re
from collections.abc import Iterator
from typing import NoReturn

from msgspec import Struct, structs

from model_manager.errors import Unprocessable
from model_manager.serving.arguments import Flag, flag_name, parse
from model_manager.serving.flags import GRAMMARS, Grammar, words
from model_manager.serving.runtime import Container, Probe

ALLOWED_ENV = words(
    "CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HSA_OVERRIDE_GFX_VERSION OMP_NUM_THREADS "
    "MKL_NUM_THREADS TOKENIZERS_PARALLELISM PYTORCH_CUDA_ALLOC_CONF PYTORCH_HIP_ALLOC_CONF PYTORCH_ALLOC_CONF "
    "NCCL_DEBUG NCCL_P2P_DISABLE NCCL_IB_DISABLE HF_HUB_OFFLINE TRANSFORMERS_OFFLINE DO_NOT_TRACK "
    "VLLM_NO_USAGE_STATS VLLM_LOGGING_LEVEL VLLM_ATTENTION_BACKEND VLLM_USE_V1 VLLM_WORKER_MULTIPROC_METHOD "
    "VLLM_ENGINE_READY_TIMEOUT_S VLLM_ALLOW_LONG_MAX_MODEL_LEN VLLM_MXFP4_USE_MARLIN VLLM_CPU_KVCACHE_SPACE "
    "VLLM_CPU_OMP_THREADS_BIND VLLM_ROCM_USE_AITER TZ "
)

SKIPPED_ENV = words(
    "HF_HOME HF_HUB_CACHE TRANSFORMERS_CACHE XDG_CACHE_HOME VLLM_CACHE_ROOT TORCHINDUCTOR_CACHE_DIR TRITON_CACHE_DIR "
    "HF_TOKEN HUGGING_FACE_HUB_TOKEN MODEL_ID MODEL_DIR SKIP_GPTOSS_PATCH "
)
"""Variables without a meaning here: caches have their own folder, the weights are installed already, and the last
three speak to the start script of one container image."""

SKIPPED_FIELDS = ("nodeSelector", "affinity", "tolerations", "volumes", "imagePullSecrets")
"""Pod fields without a meaning on a single machine."""

LOCAL_FIELDS = {"status.podIP": "127.0.0.1", "status.hostIP": "127.0.0.1"}
"""What `valueFrom.fieldRef` answers on this machine; hand it to `runtime.assemble`."""

_ABSOLUTE = re.compile(r"(?:^|(?<=[\s=,:;\"'\[({@]))(?:/|~)[^\s\"',;\])}]*")


class LocalPolicy(Struct, frozen=True):
    """What the operator lets entries do on this machine."""

    trust_remote_code: bool = False


class LocalCommand(Struct, frozen=True):
    """A process to start; `skipped` are sentences about what of the entry has no meaning here."""

    argv: tuple[str, ...]
    env: dict[str, str]
    skipped: tuple[str, ...] = ()


def local_command(container: Container, model_dir: str, policy: LocalPolicy) -> LocalCommand:
    """The argv and environment of a container as a process, with `/mnt/models` read as `model_dir`.

    Raises Unprocessable, with a sentence, for what an entry may not ask of this machine.
    """
    if not container.command:
        raise Unprocessable(
            f"The serving runtime {container.runtime!r} names no command.",
            "It relies on its image's entrypoint, which is not on this machine; add `command` to the runtime.",
        )
    _check_arguments(container, policy)
    skipped = _check_environment(container)
    env = {
        name: _rewritten(value, container.model_path, model_dir)
        for name, value in container.env
        if name not in skipped
    }
    argv = tuple(
        _rewritten(word, container.model_path, model_dir) for word in (*container.command, *container.args)
    )
    return LocalCommand(argv, env, tuple(_skip_notes(container, skipped)))


def place(container: Container, host: str, port: int) -> Container:
    """The container bound to `host` and `port` instead of those its runtime names, probes included.

    Raises Unprocessable when its command line has no `--port` that could be changed.
    """
    old = container.ports[0]
    args, ported = _replaced(container.args, "--port", str(port))
    if not ported:
        raise Unprocessable(
            f"The serving runtime {container.runtime!r} gives its server no `--port`, so it cannot get a free one.",
            "Add `--port=8080` to the runtime's args; the number is replaced by a free port of this machine.",
        )
    args, hosted = _replaced(args, "--host", host)
    if not hosted:
        args = (*args, f"--host={host}")
    return structs.replace(
        container,
        args=args,
        ports=(port, *container.ports[1:]),
        readiness=_moved(container.readiness, old, port),
        startup=container.startup and _moved(container.startup, old, port),
        liveness=container.liveness and _moved(container.liveness, old, port),
    )


def _check_arguments(container: Container, policy: LocalPolicy) -> None:
    grammar = GRAMMARS[container.engine]
    for flag in parse(container.entry_args):
        _check_flag(flag, grammar, container.runtime, policy)
        for value in _values(flag):
            _check_value(value, f"argument {flag.text}", container.model_path)


def _check_flag(flag: Flag, grammar: Grammar, runtime: str, policy: LocalPolicy) -> None:
    name = flag_name(flag.text, grammar) if flag.text else None
    if name == "trust-remote-code" and not policy.trust_remote_code:
        raise Unprocessable(
            "The entry asks to run code from the model's repository (`trustRemoteCode`), which is off on this machine.",
            "If you trust that code, start the service with MODEL_MANAGER_TRUST_REMOTE_CODE=true.",
        )
    if name is None or name not in grammar.allowed:
        raise Unprocessable(
            f"The entry gives the argument {flag.text or flag.values[0]!r}, which is not allowed on this machine.",
            f"Allowed with {runtime}: {', '.join(f'--{name}' for name in sorted(grammar.allowed))}."
            " What an operator wants beyond that belongs into a ServingRuntime of their own.",
        )


def _values(flag: Flag) -> Iterator[str]:
    if flag.inline is not None:
        yield flag.inline
    yield from flag.values


def _check_environment(container: Container) -> frozenset[str]:
    """The names to leave out. Variables from Secrets are refused, unless leaving them out does no harm."""
    for missing in container.unresolved:
        if not missing.optional and missing.name not in SKIPPED_ENV:
            raise Unprocessable(
                f"{missing.name} takes its value from a cluster ({missing.source}), and there is none here.",
                "Remove it from the entry's `env`, or run this model on a cluster.",
            )
    skipped = set()
    for name, value in container.entry_env:
        if name in SKIPPED_ENV:
            skipped.add(name)
        elif name not in ALLOWED_ENV:
            _refuse_variable(name)
        else:
            _check_value(value, f"variable {name}", container.model_path)
    return frozenset(skipped | {missing.name for missing in container.unresolved})


def _refuse_variable(name: str) -> NoReturn:
    raise Unprocessable(
        f"The entry sets the variable {name}, which is not allowed on this machine.",
        f"Allowed: {', '.join(sorted(ALLOWED_ENV))}. What an operator wants beyond that belongs into a"
        " ServingRuntime of their own.",
    )


def _check_value(value: str, where: str, model_path: str) -> None:
    """Relative names are fine: the process starts in a folder of its own. Climbing and other roots are not."""
    if ".." in re.split(r"[^.\w-]+", value):
        _refuse_path(value, where)
    for path in _ABSOLUTE.findall(value):
        if path != model_path and not path.startswith(f"{model_path}/"):
            _refuse_path(path, where)


def _refuse_path(path: str, where: str) -> NoReturn:
    raise Unprocessable(
        f"The {where} of the entry leads to {path[:120]!r}, outside the model's own folder.",
        "Write paths below /mnt/models, which stands for the folder of the model's weights.",
    )


def _rewritten(text: str, model_path: str, model_dir: str) -> str:
    boundary = rf"{re.escape(model_path)}(?![^/\s\"',:;\])}}])"
    return re.sub(boundary, lambda _: model_dir, text)


def _skip_notes(container: Container, names: frozenset[str]) -> Iterator[str]:
    for name in sorted(names):
        yield f"The variable {name} has no meaning on this machine and is left out."
    for field in SKIPPED_FIELDS:
        if container.pod.get(field):
            yield f"`{field}` has no meaning on this machine and is skipped."
    if container.resources:
        yield "`resources` are not limits on this machine; memory is checked before the start instead."


def _replaced(words: tuple[str, ...], flag: str, value: str) -> tuple[tuple[str, ...], bool]:
    """The words with the value of every `flag` replaced, in both spellings, and whether there was one."""
    result: list[str] = []
    found = False
    for word in words:
        if word.startswith(f"{flag}="):
            result.append(f"{flag}={value}")
            found = True
        elif result and result[-1] == flag:
            result.append(value)
            found = True
        else:
            result.append(word)
    return tuple(result), found


def _moved(probe: Probe, old: int, new: int) -> Probe:
    return structs.replace(probe, port=new) if probe.port == old else probe
