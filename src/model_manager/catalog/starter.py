"""The starter catalog: a Git repository of one's own, so that a commit is all it takes to add a model."""

import re
import shutil
import subprocess
from pathlib import Path

from model_manager.catalog.gitcommand import arguments, environment
from model_manager.catalog.gitfailure import failure
from model_manager.errors import StateError

_PACKAGE = Path(__file__).parent.parent


def example_catalog() -> Path:
    """The example catalog that came with us: in the package, or beside it in a checkout of the sources."""
    for folder in (_PACKAGE / "examples/catalog", _PACKAGE.parent.parent / "examples/catalog"):
        if (folder / "models").is_dir():
            return folder
    raise StateError("The example catalog is missing from this installation.", "Install the package again.")


def create_starter(target: Path) -> Path:
    """Make `target` a Git repository that holds the example catalog in one commit; returns it. Blocking.

    Does nothing when something is there: commits and changes of its owner are never touched. A start that was
    killed half-way left nothing at `target`. Raises StateError, or Unavailable when there is no git.
    """
    if target.exists() and any(target.iterdir()):
        return target
    fresh = target.with_name(f".{target.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(example_catalog(), fresh)
        _commit(fresh)
        fresh.rename(target)  # over an empty folder, too
    except OSError as error:
        raise StateError(
            f"The starter catalog {target} cannot be made: {_reason(error)}.",
            "Check the state folder (STATE_PATH): is there room, and may this user write there?",
        ) from error
    return target


def _copy(source: Path, target: Path) -> None:
    # contents alone: the package's files may be read-only
    shutil.copytree(source, target, copy_function=shutil.copyfile)


def _reason(error: OSError) -> str:
    """`copytree` gathers its failures in an error without words of its own: the first one speaks for all."""
    if isinstance(error, shutil.Error):
        return re.sub(r"^\[Errno \d+\] ", "", str(error.args[0][0][2]))
    return error.strerror or str(error)


def _commit(folder: Path) -> None:
    """One commit, by an identity that the repository keeps, so that `git commit` works for whoever comes next."""
    _git(folder, "init", "--quiet", "--template=", "--initial-branch=main")
    _git(folder, "config", "user.name", "Model Manager")
    _git(folder, "config", "user.email", "model-manager@localhost")
    _git(folder, "add", "--force", "--all")  # whatever the user's own ignore list says of *.gguf
    message = "Start with the example catalog"
    _git(folder, "-c", "commit.gpgSign=false", "commit", "--quiet", "--message", message)


def _git(folder: Path, *args: str) -> None:
    command = arguments(args, ("-c", "core.autocrlf=false"))
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise failure(args[0], done.stderr.decode(errors="replace"))
