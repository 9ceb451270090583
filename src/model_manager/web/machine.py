"""What this machine is: versions, memory and disks, as far as a helper at a distance needs them."""

import os
import platform
import shutil
import sqlite3
from pathlib import Path
from typing import Any

_LIBRARIES = ("httptools", "huggingface-hub", "msgspec", "starlette", "uvicorn", "uvloop", "xllamacpp")
_MEMORY = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")


def machine_facts(folders: dict[str, str]) -> dict[str, Any]:
    """Facts for people; `folders` are those whose disks matter, by name. Reads the disk."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "system": platform.platform(),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "memoryBytes": _memory(),
        "diskBytes": {name: _disk(Path(folder)) for name, folder in folders.items()},
    }


def _version(library: str) -> str | None:
    from importlib.metadata import (
        PackageNotFoundError,
        version,
    )  # brings all of `email` along: not for a start

    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _memory(meminfo: Path = Path("/proc/meminfo")) -> dict[str, int]:
    try:
        pairs = [line.split(":") for line in meminfo.read_text().splitlines()]
    except OSError:
        return {}
    return {name: int(rest.split()[0]) * 1024 for name, rest in pairs if name in _MEMORY}


def _disk(folder: Path) -> dict[str, int] | None:
    try:
        total, used, free = shutil.disk_usage(folder)
    except OSError:
        return None
    return {"total": total, "used": used, "free": free}
