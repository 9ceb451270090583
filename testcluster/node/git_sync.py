"""git-sync 4 as a sidecar, as far as a catalog needs it: real worktrees of a real repository, published by one rename.

What it keeps on disk is what git-sync 4.7.1 was seen to keep: `ROOT/.worktrees/COMMIT`, and `ROOT/LINK` that leads
there, relative. The world outside is a folder, `TEST_HUB`: a repository `https://HOST/PATH` is its folder `HOST/PATH`.
Read are `GITSYNC_REPO`, `_REF`, `_ROOT`, `_LINK`, `_PERIOD` and `_MAX_FAILURES`; after a failure it goes on only where
the latter says so. git-sync itself comes as an image alone, and there are no images here.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def main() -> None:
    """Until it is ended, or until too many syncs failed one after the other."""
    ROOT.mkdir(parents=True, exist_ok=True)
    allowed, failures = int(os.environ.get("GITSYNC_MAX_FAILURES", "0")), 0
    while True:
        try:
            sync()
            failures = 0
        except subprocess.CalledProcessError as error:
            failures += 1
            print(f"error syncing repo: {error.stderr.strip()}", file=sys.stderr, flush=True)
            if failures > allowed >= 0:
                sys.exit(1)
        time.sleep(PERIOD)


def sync() -> None:
    """Fetch, and publish what the ref names now."""
    if not (ROOT / ".git").exists():
        git("init", "--quiet")
    url = urlsplit(os.environ["GITSYNC_REPO"])
    repository = f"file://{os.environ['TEST_HUB']}/{url.hostname}{url.path}"
    git("fetch", "--quiet", "--depth=1", repository, os.environ.get("GITSYNC_REF", "HEAD"))
    commit = git("rev-parse", "FETCH_HEAD")
    tree, link = ROOT / ".worktrees" / commit, ROOT / os.environ["GITSYNC_LINK"]
    if link.is_symlink() and link.readlink().name == commit:
        return
    git("worktree", "add", "--quiet", "--force", "--detach", str(tree), commit)
    old = link.resolve() if link.is_symlink() else None
    staged = ROOT / ".link"
    staged.unlink(missing_ok=True)
    staged.symlink_to(tree.relative_to(ROOT))
    staged.replace(link)
    print(f"updated to {commit}", flush=True)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
        git("worktree", "prune")


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _seconds(period: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m)", period).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


if __name__ == "__main__":
    ROOT = Path(os.environ["GITSYNC_ROOT"])
    PERIOD = _seconds(os.environ.get("GITSYNC_PERIOD", "10s"))
    main()
