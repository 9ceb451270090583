"""`model-manager serve` with plain flags, read without typer: importing that takes a third of a start.

Whatever is not plainly a setting's flag and its value (help, mistakes, a flag given twice) is left to
`program.py`, so that one place explains.
"""

import gc
from collections.abc import Sequence
from pathlib import Path

from model_manager.settings import CLIENT, SETTINGS, load

FLAGS = {row.flag: row.name for row in SETTINGS if row.group != CLIENT} | {"--config": "config"}


def serve_flags(arguments: Sequence[str]) -> dict[str, str] | None:
    """The values by setting (and `config`) of `serve --flag VALUE --flag=VALUE …`; None for anything else."""
    if not arguments or arguments[0] != "serve":
        return None
    found: dict[str, str] = {}
    rest = iter(arguments[1:])
    for word in rest:
        flag, joined, value = word.partition("=")
        if not joined:
            value = next(rest, "-")
        name = FLAGS.get(flag)
        if name is None or name in found or value.startswith("-"):
            return None
        found[name] = value
    return found


def serve(flags: dict[str, str]) -> int:
    """Run the service. Returns its exit code; raises ModelManagerError when it cannot start."""
    gc.disable()  # looking for garbage takes a tenth of the start, and of what is imported nothing is garbage
    from model_manager import app  # only here: `program.py` asks this module first, whatever the command

    gc.freeze()
    gc.enable()
    config = Path(flags["config"]) if "config" in flags else None
    return app.serve(load({name: text for name, text in flags.items() if name != "config"}, config=config))
