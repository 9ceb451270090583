"""What the chart renders for each case, kept in `golden/`: `python -m tests.chart.golden` writes it anew."""

from pathlib import Path

import yaml

from tests.chart.cases import CASES
from tests.chart.rendering import Object, render

FOLDER = Path(__file__).parent / "golden"


def text(values: Object) -> str:
    """All objects, in an order that does not hang on that of the templates."""
    objects = sorted(
        render(values), key=lambda one: (one["kind"], one["apiVersion"], one["metadata"]["name"])
    )
    return yaml.safe_dump_all(objects, sort_keys=False, width=110)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for case, values in CASES.items():
        (FOLDER / f"{case}.yaml").write_text(text(values))
