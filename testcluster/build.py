"""Make the cluster's programs, once, into a cache that the whole machine shares.

The programs are the `tool` lines of core/go.mod and knative/go.mod. Knative has a module of its own: beside the
newer OpenTelemetry of the other module it compiles, and then panics at its start ("conflicting Schema URL").
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
EVERY = 20.0
"""Seconds between two lines of progress."""

PROGRAMS = {
    "core": {
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
        "kserve-manager": "github.com/kserve/kserve/cmd/manager",
    },
    "knative": {
        "knative-webhook": "knative.dev/serving/cmd/webhook",
        "knative-controller": "knative.dev/serving/cmd/controller",
    },
}
"""Which Go package each program is made of, by the module that pins it."""

PATCHES = {
    "knative": (
        "knative.dev/pkg",
        "injection/health_check.go",
        {'":" + strconv': '"127.0.0.1:" + strconv', "DefaultPort = 8080": "DefaultPort = 0"},
    ),
}
"""What is built otherwise than it is published: module, file, texts.

Knative's controller answers its own probes at port 8080 of every address, and nothing moves it. Pods live on
addresses of this machine and serve at 8080: it would take that from them, and call models healthy that never ran.
"""

Say = Callable[[str], None]


class CannotBuild(Exception):
    """A sentence for the person who wanted a cluster."""


def programs(say: Say) -> Path:
    """The folder with every program in it; builds what is missing. CannotBuild: no Go, or the build failed."""
    if shutil.which("go") is None:
        raise CannotBuild(
            "The test cluster is built from source, and `go` was not found. "
            "Install Go (https://go.dev/dl), at least the version that testcluster/core/go.mod names."
        )
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder / "lock", say):
        for module, packages in PROGRAMS.items():
            if not all((folder / name).exists() for name in packages):
                _build(module, packages, folder, say)
    return folder


def cache_folder() -> Path:
    """Named by what the modules pin, so that another version is another folder."""
    pinned = hashlib.sha256()
    for module in PROGRAMS:
        pinned.update((HERE / module / "go.mod").read_bytes())
        pinned.update((HERE / module / "go.sum").read_bytes())
    pinned.update(repr(PATCHES).encode())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "model-manager" / "testcluster" / pinned.hexdigest()[:16]


def module_folder(module: str, path: str) -> Path:
    """Where the Go module `path` lies, at the version that `module` pins: its CRDs and manifests are read there."""
    _go(module, "mod", "download", path)
    return Path(_go(module, "list", "-m", "-f", "{{.Dir}}", path))


@contextmanager
def _only_one(lock: Path, say: Say) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run builds the test cluster; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(module: str, packages: dict[str, str], folder: Path, say: Say) -> None:
    say(f"building {', '.join(packages)} (minutes the first time, about 10 on two cores; seconds afterwards)")
    staging = folder / f"{module}.building"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    begun = time.monotonic()
    flags = ["-v", "-trimpath", "-ldflags", _linker_flags(module), "-o", f"{staging}/"]
    flags += _patched(module, folder / f"{module}.patched")
    lines = _said_while_it_lasts(module, ["build", *flags, *packages.values()], say)
    made = {name: staging / _name_of(package) for name, package in packages.items()}
    if not all(path.exists() for path in made.values()):
        raise CannotBuild("\n".join([f"The {module} programs could not be built:", *lines[-20:]]))
    for name, path in made.items():
        path.rename(folder / name)
    shutil.rmtree(staging)
    say(f"built the {module} programs in {time.monotonic() - begun:.0f} s")


def _patched(module: str, folder: Path) -> list[str]:
    """Flags that let `go build` take a changed copy, in `folder`, of the module that PATCHES names."""
    if module not in PATCHES:
        return []
    path, file, texts = PATCHES[module]
    copy, changed = folder / "module", folder / "module" / file
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(module_folder(module, path), copy, copy_function=shutil.copyfile)
    for directory in (copy, *copy.rglob("*/")):
        directory.chmod(0o755)  # Go's own copy is read-only, so that nobody could remove this one
    text = changed.read_text()
    for old, new in texts.items():
        if text.count(old) != 1:
            raise CannotBuild(f"{file} of {path} is not what testcluster/build.py expects: no single {old!r}")
        text = text.replace(old, new)
    changed.write_text(text)
    pins = (HERE / module / "go.mod").read_text()
    (folder / "go.mod").write_text(f"{pins}\nreplace {path} => {copy}\n")
    shutil.copy(HERE / module / "go.sum", folder / "go.sum")
    return [f"-modfile={folder / 'go.mod'}"]


def _said_while_it_lasts(module: str, arguments: list[str], say: Say) -> list[str]:
    """What `go` printed, a line for each package it compiled; their number is told every now and then."""
    lines: list[str] = []
    begun = time.monotonic()
    done = threading.Event()

    def tell() -> None:
        while not done.wait(EVERY):
            fetched = sum(line.startswith("go: downloading") for line in lines)
            say(
                f"  {module}: {time.monotonic() - begun:.0f} s, "
                f"{fetched} modules fetched, {len(lines) - fetched} packages compiled"
            )

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    with subprocess.Popen(
        ["go", *arguments], cwd=HERE / module, env=_environment(), text=True, stderr=subprocess.PIPE
    ) as go:
        assert go.stderr is not None
        lines.extend(line.rstrip() for line in go.stderr)
    done.set()
    teller.join()
    return lines


def _linker_flags(module: str) -> str:
    flags = ["-s", "-w"]
    if module == "core":
        # Without a version a Kubernetes server takes itself for v0.0.0 and does not start.
        version = _go(module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
        major, minor, _ = version.removeprefix("v").split(".", 2)
        known = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        for name, value in known.items():
            flags += ["-X", f"k8s.io/component-base/version.{name}={value}"]
    return " ".join(flags)


def _name_of(package: str) -> str:
    """What `go build` calls the program of a package: its folder's name, and a version is none."""
    parts = package.split("/")
    return parts[-2] if parts[-1].startswith("v") and parts[-1][1:].isdigit() else parts[-1]


def _go(module: str, *arguments: str) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=HERE / module, env=_environment(), text=True, capture_output=True
    )
    if done.returncode:
        raise CannotBuild(f"go {' '.join(arguments)} failed in testcluster/{module}: {done.stderr.strip()}")
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOWORK": "off"}
