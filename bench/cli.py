"""How long the help takes, against what no program on its library can do without.

    python -m bench.cli [--rounds 15]

`model-manager --help`, the program, from exec to its end, in turn with `python -c "import typer"`. The first round
warms the file cache and is dropped. Then one command's help and an answer to Tab, which load that one command; and
an answer to Tab where the service listens and says nothing.
"""

import argparse
import os
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from bench.figures import figure, report

PROGRAM = str(Path(sysconfig.get_path("scripts"), "model-manager"))
BARE = "import typer"
SILENT = "Tab for an id, nobody answers"
COMMANDS = {
    BARE: [sys.executable, "-c", "import typer"],
    "help": [PROGRAM, "--help"],
    "help of one command": [PROGRAM, "jobs", "list", "--help"],
    "Tab after a command": [PROGRAM],
    SILENT: [PROGRAM],
}
TAB = {"_MODEL_MANAGER_COMPLETE": "complete_bash", "COMP_WORDS": "model-manager\njobs\n", "COMP_CWORD": "2"}


def seconds(name: str, url: str) -> float:
    environment = {**os.environ, "MODEL_MANAGER_URL": url}
    if name.startswith("Tab"):
        environment |= TAB
    if name == SILENT:
        environment |= {"COMP_WORDS": "model-manager\njobs\nshow\n", "COMP_CWORD": "3"}
    begun = time.perf_counter()
    subprocess.run(COMMANDS[name], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    flags.add_argument("--rounds", type=int, default=15)
    options = flags.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for number in range(options.rounds + 1):
            for name, found in times.items():
                took = seconds(name, url)
                if number:
                    found.append(took)
    bare, unanswered = times.pop(BARE), times.pop(SILENT)
    figures = [
        figure(f"{name}: exec to end", "s", found, bare, reference_name=f"python -c '{BARE}'", goal=2.0)
        for name, found in times.items()
    ]
    report([*figures, figure(f"{SILENT}: exec to end", "s", unanswered, of="median", goal=1.0)])


if __name__ == "__main__":
    main()
