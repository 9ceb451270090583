"""Write docs/settings.md from the table of settings: `python -m tools.settings_doc`. A test holds the two equal."""

from pathlib import Path

from model_manager.settings import SETTINGS, Setting

HEAD = """# Settings

<!-- Written by `python -m tools.settings_doc` from src/model_manager/settings.py; edit that table instead. -->

A value comes from a flag of `model-manager serve` or `quickstart`, else from the environment, else from the file named by
`--config` (YAML, `name: value`), else it is the default. An empty string counts as unset. Durations are written as in Go
(`30s`, `1h30m`), sizes as `500M` or `10Gi`, lists with commas.

A variable that starts with `MODEL_MANAGER_` and is not listed here is refused, with the name that was probably meant. The
names that Kubernetes injects for a Service called `model-manager` (`MODEL_MANAGER_PORT`, `MODEL_MANAGER_SERVICE_HOST`, …)
are ignored.
"""


def page() -> str:
    groups: dict[str, list[Setting]] = {}
    for row in SETTINGS:
        groups.setdefault(row.group, []).append(row)
    parts = [HEAD]
    for group, rows in groups.items():
        parts.append(
            f"\n## {group}\n\n| name | environment | flag | default | meaning |\n|---|---|---|---|---|\n"
        )
        parts.extend(_line(row) for row in rows)
    return "".join(parts)


def _line(row: Setting) -> str:
    default = f"`{row.default}`" if row.default else "none"
    if row.local is not None:
        here = (
            f"`{row.local}`"
            if row.local
            else ("`weights` in the state folder" if row.name == "weights_path" else "none")
        )
        default = f"{here}; with `kserve` {default}"
    if row.name == "catalog_root":
        default = f"a starter catalog in the state folder; with `kserve` `{row.default}`"
    return f"| `{row.name}` | `{row.env}` | `{row.flag}` | {default} | {row.help} |\n"


if __name__ == "__main__":
    Path("docs/settings.md").write_text(page())
