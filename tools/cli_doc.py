"""Write docs/cli.md from the command line's own help: `python -m tools.cli_doc`. A test holds the two equal."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_manager.cli import exit_codes
from model_manager.cli.program import build

EXAMPLE = re.compile(r"Examples?: *|(?=model-manager )")

HEAD = """# Command line

<!-- Written by `python -m tools.cli_doc` from the commands' own help; edit that instead. -->

`model-manager` is a client of the HTTP API; only `serve` and `quickstart` are the service.

**Which service.** It finds the one that runs on the state folder by itself. Others are named, the first of these that is
given: `--url` or `--context`, `MODEL_MANAGER_URL`, `MODEL_MANAGER_CONTEXT`, the context in use:

```sh
model-manager context add prod --url https://models.example --token-stdin < token
model-manager context use prod
model-manager status
model-manager status --context local
```

`local` is the service of this machine. Contexts lie in `~/.config/model-manager` (or `XDG_CONFIG_HOME`), readable by you alone;
a context's token is sent to its address and nowhere else. Other addresses get the token of `MODEL_MANAGER_API_TOKEN` or
`MODEL_MANAGER_API_TOKEN_FILE`; a service on this machine, without either, the one in its state folder. An authority of your
own that signed the service's certificate is named in `SSL_CERT_FILE`.

**What is printed.** Results go to standard output, everything about them to standard error, so a pipe gets the result alone.
Tables fit the terminal and have colours there (`--color`, `NO_COLOR`); in a pipe each row is one line. `-o json` and `-o yaml`
print the API's own answer, `-o name` the ids alone, `--quiet` results and errors alone. `--watch` shows it again whenever
something happens; `--timeout` ends the waiting, not the work.

```sh
model-manager jobs wait "$(model-manager weights install demo --no-wait -o name)" --timeout 10m
model-manager activations --result failed -o name | xargs -n 1 model-manager activations show
```

**Completion.** `source <(model-manager completion bash)`, and likewise for zsh and fish: commands, options, and the ids of
models, slots, jobs, activations, weights, tokens and contexts.

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
    from model_manager.settings import CLIENT, SETTINGS

    of_settings = {row.flag for row in SETTINGS if row.group != CLIENT}
    rows = []
    for option in command.params:
        help_text = getattr(option, "help", None)
        if help_text and not of_settings.intersection(option.opts):
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            rows.append(f"| {names} | {help_text} |\n")
    return rows


if __name__ == "__main__":
    Path("docs/cli.md").write_text(page())
