"""Which file system a folder lies on: SQLite's WAL shares memory between processes and wants a local one."""

import re
from pathlib import Path

from model_manager.errors import StateError

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|ceph|afs|lustre|gpfs|beegfs|glusterfs|ocfs2|gfs2|ncpfs|davfs"
    r"|fuse\.(sshfs|glusterfs|ceph\S*|s3fs|rclone|juicefs|gcsfuse|mount-s3|davfs2?|nfs\S*)"
)


def filesystem_of(path: Path) -> str:
    """The kernel's name of the file system under `path` ("ext4", "nfs4"); "" where it does not tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return type_in(mounts, path.resolve())


def type_in(mounts: list[str], path: Path) -> str:
    """The type of the deepest mount over `path` (of equals, the latest), from lines of proc(5) mountinfo."""
    best, depth = "", -1
    for line in mounts:
        head, _, tail = line.partition(" - ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), head.split()[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:
            best, depth = tail.split()[0], len(point.parts)
    return best


def refuse_network(folder: Path, filesystem: str) -> None:
    """Raise StateError when `filesystem` is one whose locks and shared memory span machines."""
    if _NETWORK.fullmatch(filesystem):
        raise StateError(
            f"The state folder {folder} is on {filesystem}, where SQLite's write-ahead log is not safe.",
            "Give the state a folder on a local disk (STATE_PATH). Weights may stay on the network.",
            filesystem=filesystem,
        )
