"""Running `git`: without questions, hooks, or secrets in its command line, and never for longer than it may take."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_manager.catalog.gitfailure import GitFailed, failure

TIMEOUT = 120.0
"""Seconds for one command, a fetch included."""

# Hooks and monitors are programs that a repository may name; `ext::` is a transport that runs one.
_OPTIONS = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never",
    "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false",
    "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30",
)  # fmt: skip

# git-sync writes its trees under another user. Comparing two commits of such a repository runs nothing that its
# settings name; looking at its files would (filters), so `git status` is left to refuse it.
_OF_ANOTHER_USER = ("-c", "safe.directory=*")

# No question on a terminal or in a window: an empty GIT_ASKPASS keeps git from looking for another one.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GCM_INTERACTIVE": "never",
    "GIT_NO_LAZY_FETCH": "1",  # an object that is missing is not fetched by whatever program the repository names
    "LC_ALL": "C.UTF-8",
}


def arguments(args: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """The whole command line. Raises GitFailed when there is no git."""
    program = shutil.which("git")
    if not program:
        raise GitFailed("git is not installed.", "Install it (apt install git) and try again.")
    return [program, *_OPTIONS, *options, *args]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git gets to know: where programs and the user's own Git settings lie, and nothing of ours."""
    found = {"PATH": os.pathsep.join(os.get_exec_path()), **_ENVIRONMENT}
    with contextlib.suppress(RuntimeError):
        found["HOME"] = str(Path.home())
    return found | dict(extra or {})


async def git(
    *args: str,
    cwd: Path | None = None,
    options: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> str:
    """Run git and return what it printed. Raises GitFailed; being cancelled ends the command too."""
    process = await asyncio.create_subprocess_exec(
        *arguments(args, options),
        cwd=cwd,
        env=environment(extra),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # its helpers (git-remote-https, ssh) are ended with it
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError:
        raise GitFailed(f"git {args[0]} took longer than {timeout:.0f} s.", "Check the network.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise failure(args[0], err.decode(errors="replace"))
    return out.decode(errors="surrogateescape")


async def changed_names(tree: Path, old: str, new: str, folder: str) -> list[str] | None:
    """Names directly in `folder` that differ between two commits; None when Git cannot tell."""
    options = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv")
    try:
        out = await git("--no-optional-locks", "diff", *options, old, new, "--", folder or ".", cwd=tree)
    except (GitFailed, OSError):
        return None
    prefix = "" if folder in ("", ".") else folder.strip("/") + "/"
    names = [path.removeprefix(prefix) for path in out.split("\0") if path.startswith(prefix) and path]
    return [name for name in names if "/" not in name]
