"""An entry's `env` for the rendered container: unambiguous, and without what only the service may set. Pure."""

from collections.abc import Iterable
from typing import Any

from msgspec import to_builtins

from model_manager.catalog.entry import EnvVar
from model_manager.catalog.rules import ENV_NAME
from model_manager.errors import Unprocessable

_REFUSED = {
    "PYTHONPATH": "KServe refuses it in every container",
    "PYTHONHOME": "it decides which code runs",
    "PYTHONSTARTUP": "it decides which code runs",
    "LD_PRELOAD": "it decides which code runs",
    "LD_AUDIT": "it decides which code runs",
    "BASH_ENV": "it decides which code runs",
    "VLLM_API_KEY": "the service decides the key",
    "ENGINE_API_KEY": "the service decides the key",
    "VLLM_SERVER_DEV_MODE": "it opens routes that control the server",
    "VLLM_PLUGINS": "it decides which code runs",
}

_CACHES = frozenset(
    {"HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR"}
)


def render_env(variables: Iterable[EnvVar], notes: list[str]) -> list[dict[str, Any]]:
    """As Kubernetes writes them, each name once: two of one name are a 422, so the last wins, with a note.

    Raises Unprocessable for a name that is none, a variable with two values, and those that are not the entry's to set.
    """
    rendered: dict[str, dict[str, Any]] = {}
    for variable in variables:
        _check(variable)
        if variable.name in rendered:
            notes.append(f"The variable {variable.name} is set twice: the last one counts.")
        rendered[variable.name] = to_builtins(variable)
        if variable.name in _CACHES and (variable.value or "").startswith("/mnt/models"):
            notes.append(
                f"{variable.name} points into the weights, which are mounted read-only; use a path such as /tmp/cache."
            )
    return list(rendered.values())


def _check(variable: EnvVar) -> None:
    if not ENV_NAME.fullmatch(variable.name):
        raise Unprocessable(
            f"{variable.name[:80]!r} is no name for a variable.", "Use letters, digits, `_`, `-` and `.`."
        )
    if variable.name in _REFUSED:
        raise Unprocessable(
            f"The entry sets {variable.name}, which is not an entry's to set: {_REFUSED[variable.name]}.",
            "Remove it from the entry's `env`.",
        )
    if variable.value is not None and variable.value_from is not None:
        raise Unprocessable(
            f"The variable {variable.name} has both `value` and `valueFrom`.", "Keep one of them."
        )
