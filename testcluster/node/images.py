"""What stands for container images: a folder of commands, and an entry point for each image that is known.

Any other image cannot be pulled, as on a machine without that registry.
"""

import re
import shlex
import sys
from pathlib import Path

COMMANDS = {
    "python3": [sys.executable],
    "model-manager": [sys.executable, "-m", "model_manager"],
    "vllm": [sys.executable, "-m", "testcluster.node.vllm"],
    "storage-initializer": [sys.executable, "-m", "testcluster.node.initializer"],
    "queue-proxy": [sys.executable, "-m", "testcluster.node.queue"],
    "git-sync": [sys.executable, "-m", "testcluster.node.git_sync"],
}
"""What containers find on their PATH beside the machine's own commands."""

ENTRY_POINTS = {
    "ghcr.io/model-manager/model-manager": ["model-manager"],
    "test.invalid/model-manager-next": [sys.executable, "-m", "tests.cluster.next_version"],
    "vllm/vllm-openai": ["vllm", "serve"],
    "vllm/vllm-openai-rocm": ["vllm", "serve"],
    "kserve/storage-initializer": ["storage-initializer"],
    "dev.local/queue": ["queue-proxy"],
    "registry.k8s.io/git-sync/git-sync": ["git-sync"],
    "test.invalid/model-server": [sys.executable, "-m", "tests.model_server"],
}
"""Images by name, whatever their tag or digest."""


def entry_point(image: str) -> list[str] | None:
    """What an image runs by itself; None: there is no such image."""
    name = re.sub(r"(@sha256:[0-9a-f]+|:[\w.-]+)+$", "", image)
    return ENTRY_POINTS.get(name.removeprefix("docker.io/"))


def make_commands(folder: Path) -> None:
    """`folder` for every container's PATH."""
    folder.mkdir(parents=True)
    for name, command in COMMANDS.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        script.chmod(0o755)
