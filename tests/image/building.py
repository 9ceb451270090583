"""`make image` on a machine without a container engine: buildah, and a base made from Debian's packages."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model-manager/image"
BASE = "docker.io/library/debian:trixie-slim"
WEEK = 7 * 24 * 3600.0
MIRRORS = (
    "deb http://deb.debian.org/debian trixie main",
    "deb http://deb.debian.org/debian trixie-updates main",
    "deb http://deb.debian.org/debian-security trixie-security main",
)
SLIM = ("doc", "info", "man", "locale")
"""Folders of /usr/share that Debian's slim images are without."""


def missing() -> str:
    """A sentence about what this machine lacks for building and running images; empty when nothing."""
    programs = [name for name in ("buildah", "mmdebstrap", "runc") if not shutil.which(name)]
    if programs:
        return f"{', '.join(programs)}: not found. Debian: apt-get install buildah mmdebstrap runc"
    if os.geteuid() != 0:
        return "Building and running the image without an engine needs root."
    return ""


def base() -> Path:
    """The base as an archive: plain Debian, as the published slim image is. Made anew when a week old."""
    archive = CACHE / "trixie-slim.tar"
    if not archive.exists() or time.time() - archive.stat().st_mtime > WEEK:
        CACHE.mkdir(parents=True, exist_ok=True)
        left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in SLIM]
        part = archive.with_suffix(".part.tar")
        _run("mmdebstrap", "--quiet", "--variant=minbase", *left_out, "trixie", str(part), *MIRRORS)
        part.replace(archive)
    return archive


class Builder:
    """One storage of images in `folder`, apart from what the machine's own buildah holds."""

    def __init__(self, folder: Path = ROOT / "build/test-image") -> None:
        self.folder = folder
        self.remove()  # what a run that was killed has left
        folder.mkdir(parents=True)
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
        )
        self.environment = {
            **os.environ,
            "ENGINE": "buildah",
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "SOURCE_DATE_EPOCH": _run(
                "git", "log", "-1", "--format=%ct"
            ),  # one time for all builds of this run
        }

    def prepare(self) -> None:
        """Give the base the published one's name, and write what pip needs where a proxy has its own authority."""
        (self.folder / "Base").write_text(f'FROM scratch\nADD {base().name} /\nCMD ["bash"]\n')
        self.buildah("build", "--quiet", "-f", str(self.folder / "Base"), "--tag", BASE, str(CACHE))
        (self.folder / "pip.conf").write_text("[global]\ncert = /run/secrets/pip-ca\n")

    def make(self, name: str, *flags: str) -> None:
        """What `make image` does, with the image called `name`."""
        authorities = "/etc/ssl/certs/ca-certificates.crt"
        secrets = (f"id=pip-conf,src={self.folder}/pip.conf", f"id=pip-ca,src={authorities}")
        given = [f"--secret={secret}" for secret in secrets]
        _run("sh", "tools/image.sh", "--pull-never", *given, *flags, env={**self.environment, "IMAGE": name})

    def buildah(self, *arguments: str) -> str:
        return _run("buildah", *arguments, env=self.environment)

    @contextmanager
    def opened(self, image: str) -> Iterator["Image"]:
        """The image as a registry would get it, and its files."""
        layout = self.folder / "layouts" / hashlib.sha256(image.encode()).hexdigest()[:12]
        layout.parent.mkdir(exist_ok=True)
        self.buildah("push", "--quiet", image, f"oci:{layout}:image")
        container = self.buildah("from", "--pull-never", image)
        try:
            yield Image(layout, Path(self.buildah("mount", container)))
        finally:
            self.buildah("rm", container)

    def remove(self) -> None:
        """All of it, with what is still mounted."""
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in sorted(
            (place for place in places if Path(place).is_relative_to(self.folder)), reverse=True
        ):
            _run("umount", "--lazy", place)
        if self.folder.exists():
            shutil.rmtree(self.folder)


class Image:
    """`files`: its root folder on this machine."""

    def __init__(self, layout: Path, files: Path) -> None:
        self.files = files
        index = json.loads((layout / "index.json").read_text())
        self._blobs = layout / "blobs/sha256"
        self._manifest = self._blob(index["manifests"][0]["digest"])
        content = self._blob(self._manifest["config"]["digest"])
        self.config: dict[str, Any] = content["config"]
        self.layers: list[str] = content["rootfs"]["diff_ids"]
        self.history: list[dict[str, Any]] = content["history"]

    def members(self) -> dict[str, tuple[object, ...]]:
        """All that a layer says of each file, by layer and name."""
        found: dict[str, tuple[object, ...]] = {}
        for number, layer in enumerate(self._manifest["layers"]):
            with tarfile.open(self._path(layer["digest"])) as archive:
                for entry in archive:
                    content = archive.extractfile(entry) if entry.isfile() else None
                    told = (
                        entry.type,
                        entry.mode,
                        entry.uid,
                        entry.gid,
                        entry.mtime,
                        entry.linkname,
                        entry.pax_headers,
                    )
                    found[f"{number}:{entry.name}"] = (
                        *told,
                        content and hashlib.sha256(content.read()).hexdigest(),
                    )
        return found

    @property
    def megabytes(self) -> float:
        """What is downloaded: all layers, compressed."""
        return sum(layer["size"] for layer in self._manifest["layers"]) / 1e6

    def _blob(self, digest: str) -> Any:
        return json.loads(self._path(digest).read_text())

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    """Its output without the last newline. When it fails, the end of what it said is the reason."""
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{said}"
    return done.stdout.strip()
