"""Containers as a kubelet starts them under the strictest pod security; and without a network."""

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.image.building import Image

USER = 65532
DEFAULT_PROFILE = Path("/usr/share/containers/seccomp.json")
"""Which system calls engines let through unless told otherwise (seccomp `RuntimeDefault`); comes with buildah."""


class Pod:
    """A running container; `said` is the file that gets its output."""

    def __init__(self, bundle: Path, name: str, process: "subprocess.Popen[bytes]") -> None:
        self._bundle, self._name, self._process = bundle, name, process

    @property
    def said(self) -> str:
        return (self._bundle / "said").read_text()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """As `kubectl exec` does: same user, same confinement, the container's environment."""
        return subprocess.run(
            [*_runc(self._bundle), "exec", self._name, *command], capture_output=True, text=True, timeout=60
        )

    def stop(self) -> int:
        """TERM to the first process, and its exit code."""
        subprocess.run([*_runc(self._bundle), "kill", self._name, "TERM"], check=True)
        return self._process.wait(timeout=30)

    def wait(self) -> int:
        return self._process.wait(timeout=100)

    def remove(self) -> None:
        subprocess.run([*_runc(self._bundle), "delete", "--force", self._name], capture_output=True)
        self._process.wait(timeout=30)


@contextmanager
def pod(
    image: Image,
    bundle: Path,
    *args: str,
    user: int = USER,
    env: Mapping[str, str] | None = None,
    volumes: Mapping[str, Path] | None = None,
    entrypoint: Sequence[str] | None = None,
) -> Iterator[Pod]:
    """Start `image` with `args` after its entry point; `volumes`: folders of this machine by their place inside."""
    bundle.mkdir(parents=True, exist_ok=True)
    command = [*(image.config["Entrypoint"] if entrypoint is None else entrypoint), *args]
    environment = image.config["Env"] + [f"{name}={value}" for name, value in (env or {}).items()]
    spec = _spec(image.files, command, [*environment, "HOME=/"], user, volumes or {})
    (bundle / "config.json").write_text(json.dumps(spec))
    name = f"image-{bundle.name}"
    with (bundle / "said").open("wb") as said:
        started = subprocess.Popen(
            [*_runc(bundle), "run", "--bundle", str(bundle), name],
            stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
    running = Pod(bundle, name, started)
    try:
        yield running
    finally:
        running.remove()


def _runc(bundle: Path) -> list[str]:
    return ["runc", "--root", str(bundle / "runc")]


def _spec(
    files: Path, command: list[str], env: list[str], user: int, volumes: Mapping[str, Path]
) -> dict[str, Any]:
    """https://github.com/opencontainers/runtime-spec/blob/main/config.md"""
    return {
        "ociVersion": "1.0.2",
        "hostname": "pod",
        "root": {"path": str(files), "readonly": True},
        "process": {
            "user": {"uid": user, "gid": user},
            "args": command,
            "env": env,
            "cwd": "/app",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "mounts": [
            _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
            _mount("/dev", "tmpfs", "nosuid", "mode=755"),
            _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777"),
            _mount("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777"),
            *({**_mount(to, "bind", "rbind"), "source": str(of)} for to, of in volumes.items()),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "seccomp": _seccomp(json.loads(DEFAULT_PROFILE.read_text())),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def _mount(to: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": to, "type": kind, "source": kind, "options": list(options)}


def _seccomp(profile: dict[str, Any]) -> dict[str, Any]:
    """An engine's profile as a runtime wants it, for a container without capabilities on this machine."""
    kept = ("names", "action", "errnoRet", "args")
    rules = [
        {key: rule[key] for key in kept if rule.get(key)}
        for rule in profile["syscalls"]
        if not rule.get("includes", {}).get("caps")
        and _on_this(rule.get("includes", {}).get("arches"))
        and not rule.get("excludes", {}).get("arches")
    ]
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "syscalls": rules,
    }


def _on_this(machines: list[str] | None) -> bool:
    return machines is None or {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine()) in machines
