"""From a rendered InferenceService to what a start needs: KServe's and the kubelet's part on this machine."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from model_manager.errors import NotFound, Unprocessable
from model_manager.serving.local.ports import HOST
from model_manager.serving.local_policy import LOCAL_FIELDS, LocalPolicy, local_command, place
from model_manager.serving.platform import ACTIVATION_LABEL, Manifest
from model_manager.serving.runtime import Container, ServingRuntime, assemble

INHERITED = frozenset(
    (
        *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
        *("CUDA_HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
        *("ROCM_PATH", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION"),
    )
)
"""What a model server gets of the service's environment. No token, no proxy and no setting of ours is among it."""


class Command(Struct, frozen=True):
    argv: tuple[str, ...]
    environment: dict[str, str]


class Plan(Struct, frozen=True):
    """What every start of one applied manifest has in common."""

    manifest: Manifest
    activation: str
    container: Container
    model_folder: str
    policy: LocalPolicy

    def command(self, port: int, key: str, inherited: Mapping[str, str]) -> Command:
        """The process of one start, on a port and with a key of its own. Unprocessable: it may not be."""
        placed = place(self.container, HOST, port)
        asked = local_command(placed, self.model_folder, self.policy)
        environment = {name: value for name, value in inherited.items() if name in INHERITED}
        environment |= asked.env
        if self.container.api_key_env:
            environment[self.container.api_key_env] = key
        return Command(_with_own_python(asked.argv), {"PATH": os.defpath, **environment})

    def at(self, port: int) -> Container:
        """The container with its probes on this port."""
        return place(self.container, HOST, port)


def make(
    manifest: Manifest,
    runtimes: Mapping[str, ServingRuntime],
    weights: Callable[[str], Path],
    policy: LocalPolicy,
) -> Plan:
    """A ModelManagerError, with a sentence, for a manifest that cannot run on this machine."""
    container = assemble(manifest, runtimes, LOCAL_FIELDS)
    labels = manifest["metadata"].get("labels") or {}
    return Plan(
        manifest=manifest,
        activation=labels.get(ACTIVATION_LABEL, ""),
        container=container,
        model_folder=str(weights(_weights_folder(container))),
        policy=policy,
    )


def check_weights(plan: Plan) -> None:
    """Raises NotFound for weights that are not there."""
    if not Path(plan.model_folder).exists():
        raise NotFound(
            "The model's weights are not installed.", "Install them first, then activate the model."
        )


def check_program(plan: Plan, inherited: Mapping[str, str]) -> None:
    """Raises Unprocessable for a command that may not be run, or that this machine lacks."""
    command = plan.command(port=1, key="", inherited=inherited)
    program = command.argv[0]
    if not shutil.which(program, path=command.environment["PATH"]):
        raise Unprocessable(
            f"The serving runtime {plan.container.runtime!r} needs {program!r}, which is not on this machine.",
            f"Install it so that {program!r} is on PATH, or give the entry another `runtime`.",
            reason="CommandNotFound",
        )


def _weights_folder(container: Container) -> str:
    """The installed weights' folder. A claim's name means a volume of the cluster: here it is ignored."""
    if container.weights_folder is not None:
        return container.weights_folder
    scheme, _, rest = (container.storage_uri or "").partition("://")
    if scheme != "pvc":
        raise Unprocessable(
            f"This machine cannot mount the model's weights: {container.storage_uri or 'no storageUri'}.",
            "Remove `storageUri` from the catalog entry, so that its weights are installed.",
        )
    return rest.partition("/")[2]


def _with_own_python(argv: tuple[str, ...]) -> tuple[str, ...]:
    """`python3 -m model_manager…` is in this package: the `python3` on PATH may be one that does not have it."""
    if argv[0] in ("python", "python3") and argv[1:2] == ("-m",) and argv[2].startswith("model_manager."):
        return (sys.executable, *argv[1:])
    return argv
