"""Write docs/cli.md from the command line's own help: `python -m tools.cli_doc`. A test holds the two equal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_manager.cli import exit_codes
from model_manager.cli.program import build

EXAMPLE = re.compile(r"Examples?: *(?=model-manager)|(?=model-manager )")

HEAD = """# Command line

<!-- Written by `python -m tools.cli_doc` from the commands' own help; edit that instead. -->

`model-manager` is a client of the HTTP API; only `serve` and `quickstart` are the service. It finds the service that runs on
the state folder by itself; `--url` or `MODEL_MANAGER_URL` name another. Tables for people, `-o json` for programs.

Settings are flags of `serve` and `quickstart` too: [Settings](settings.md) lists them.
"""


def page() -> str:
    codes = "\n".join(line for line in (exit_codes.__doc__ or "").splitlines() if line.startswith("|"))
    parts = [HEAD, f"\n## Exit codes\n\n{codes}\n"]
    for name, command in commands(build(), ""):
        parts.append(f"\n## {name}\n\n{_text(command)}\n")
        if options := _options(command):
            parts.append("\n| option | meaning |\n|---|---|\n" + "".join(options))
    return "".join(parts)


def commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before their own."""
    for name, command in group.commands.items():
        yield (full := f"{prefix}{name}"), command
        if hasattr(command, "commands"):
            yield from commands(command, f"{full} ")


def _text(command: Any) -> str:
    """What the help says, its examples as code."""
    lines = [line.strip() for line in (command.help or "").replace("\b", "").strip().splitlines()]
    examples = [EXAMPLE.sub("", line) for line in lines if EXAMPLE.match(line)]
    text = "\n".join(line for line in lines if not EXAMPLE.match(line)).strip()
    return text + ("\n\n```sh\n" + "\n".join(examples) + "\n```" if examples else "")


def _options(command: Any) -> list[str]:
    """Its own options; those that are settings stand in docs/settings.md."""
    from model_manager.settings import SETTINGS

    of_settings = {row.flag for row in SETTINGS if row.name != "url"}
    rows = []
    for option in command.params:
        help_text = getattr(option, "help", None)
        if help_text and not of_settings.intersection(option.opts):
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            rows.append(f"| {names} | {help_text} |\n")
    return rows


if __name__ == "__main__":
    Path("docs/cli.md").write_text(page())
