"""Write the table of values into the chart's README: `python -m tools.chart_doc`. A test holds the two equal.

`values.yaml` is read as text, since its comments say what each value means: those directly above a key.
"""

import re
from pathlib import Path
from typing import NamedTuple

import yaml

CHART = Path("charts/model-manager")
BEGIN = "<!-- Written by `python -m tools.chart_doc` from values.yaml; edit that file instead. -->\n"

_KEY = re.compile(r"( *)([A-Za-z]+):(.*)")


class Value(NamedTuple):
    """`path` as `helm --set` takes it. `default` is None for a group of values."""

    path: str
    default: str | None
    meaning: str


def values(text: str) -> list[Value]:
    """Every value and group of a values.yaml, in its order; each has a comment directly above it or none.

    A key below a value that is described as a whole (`resources`) is part of that value.
    """
    found: list[Value] = []
    comment: list[str] = []
    above: list[str] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            comment.append(line.strip().lstrip("#").strip())
            continue
        if match := _KEY.fullmatch(line):
            depth = len(match[1]) // 2
            above[depth:] = [match[2]]
            path = ".".join(above)
            if comment or depth == 0 or not _is_part(path, found):
                found.append(Value(path, _default(match[3], lines[number + 1 :], depth), " ".join(comment)))
        comment = []
    return found


def _is_part(path: str, found: list[Value]) -> bool:
    return any(path.startswith(f"{one.path}.") and one.default is not None for one in found)


def _default(rest: str, below: list[str], depth: int) -> str | None:
    """What stands behind the key; for a mapping of undescribed keys, all of it in one line."""
    if rest.strip():
        return rest.strip()
    block: list[str] = []
    for line in below:
        if line.strip() and len(line) - len(line.lstrip()) <= depth * 2:
            break
        if line.lstrip().startswith("#"):
            return None
        block.append(line)
    return yaml.safe_dump(yaml.safe_load("\n".join(block)), default_flow_style=True, width=1000).strip()


def table() -> str:
    rows = values((CHART / "values.yaml").read_text())
    parts = ["| value | default | meaning |\n|---|---|---|\n"]
    for row in rows:
        if row.default is not None:
            parts.append(f"| `{row.path}` | `{row.default}` | {row.meaning} |\n")
        elif row.meaning:
            parts.append(f"| **`{row.path}`** | | {row.meaning} |\n")
    return "".join(parts)


def page() -> str:
    """README.md with the table as it should be."""
    head = (CHART / "README.md").read_text().split(BEGIN)[0]
    return f"{head}{BEGIN}\n{table()}"


if __name__ == "__main__":
    (CHART / "README.md").write_text(page())
